package client

import "github.com/echomfa/echomfa/internal/redact"

// secret, embedded in a struct, makes it print as "[redacted]".
type secret = redact.Hidden
