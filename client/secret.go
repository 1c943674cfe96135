package client

import (
	"fmt"
	"io"
	"log/slog"
)

// secret, embedded in a struct, keeps the struct's fields out of fmt, slog and
// every encoder that asks for text. Whoever needs a field has to name it.
//
// fmt calls no methods on unexported fields, so a struct that holds such a value
// in one has to keep it out of logs by itself.
type secret struct{}

const redactedText = "[redacted]"

// String returns "[redacted]".
func (secret) String() string { return redactedText }

// GoString returns "[redacted]".
func (secret) GoString() string { return redactedText }

// Format writes "[redacted]", whatever the verb.
func (secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redactedText) }

// LogValue returns "[redacted]".
func (secret) LogValue() slog.Value { return slog.StringValue(redactedText) }

// MarshalText returns "[redacted]". encoding/json uses it too.
func (secret) MarshalText() ([]byte, error) { return []byte(redactedText), nil }
