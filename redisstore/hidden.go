package redisstore

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden, embedded in a struct, keeps the struct's fields out of fmt, slog and
// every encoder that asks for text. The module echomfa has the same for itself;
// this one uses nothing of it that is not exported.
type hidden struct{}

const redacted = "[redacted]"

// String returns "[redacted]".
func (hidden) String() string { return redacted }

// GoString returns "[redacted]".
func (hidden) GoString() string { return redacted }

// Format writes "[redacted]", whatever the verb.
func (hidden) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue returns "[redacted]".
func (hidden) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]". encoding/json uses it too.
func (hidden) MarshalText() ([]byte, error) { return []byte(redacted), nil }
