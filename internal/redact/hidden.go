package redact

import (
	"fmt"
	"io"
	"log/slog"
)

// Hidden, embedded in a struct, keeps the struct's fields out of fmt, slog and
// every encoder that asks for text. Whoever needs a field has to name it.
//
// fmt calls no methods on unexported fields, so a struct that holds such a value
// in one has to keep it out of logs by itself.
type Hidden struct{}

// String returns "[redacted]".
func (Hidden) String() string { return redacted }

// GoString returns "[redacted]".
func (Hidden) GoString() string { return redacted }

// Format writes "[redacted]", whatever the verb.
func (Hidden) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns "[redacted]".
func (Hidden) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]". encoding/json uses it too.
func (Hidden) MarshalText() ([]byte, error) { return []byte(redacted), nil }
