// Package hidden keeps what a struct holds out of logs.
package hidden

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Fields keeps the fields of a struct that embeds it out of fmt, slog and every
// encoder that asks for text. Code that needs a field has to name it.
//
// fmt calls no methods on unexported fields, so a struct that holds such a value
// in one has to keep it out of logs by itself.
type Fields struct{}

// String returns "[redacted]".
func (Fields) String() string { return redacted }

// GoString returns "[redacted]".
func (Fields) GoString() string { return redacted }

// Format writes "[redacted]", whatever the verb.
func (Fields) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns "[redacted]".
func (Fields) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]". encoding/json uses it too.
func (Fields) MarshalText() ([]byte, error) { return []byte(redacted), nil }
