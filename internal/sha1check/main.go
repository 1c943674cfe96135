// Sha1check ends well if HMAC-SHA-1 may be used, which it may not where only
// FIPS 140 cryptography is allowed. It is how make fips knows that it is there.
package main

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // to see whether it may be used
)

func main() { hmac.New(sha1.New, make([]byte, 32)) }
