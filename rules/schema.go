package rules

import (
	_ "embed" // the schema
)

//go:embed rules.schema.json
var schema string

// Schema returns the JSON Schema of the format, for editors. The slice is the caller's.
func Schema() []byte { return []byte(schema) }
