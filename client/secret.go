package client

import "github.com/echomfa/echomfa/internal/hidden"

// secret, embedded in a struct, makes it print as "[redacted]".
type secret = hidden.Fields

const redactedText = "[redacted]"
