//go:build go1.26

package genauthtest

import "crypto/fips140"

// unenforced runs f where only FIPS 140 cryptography may be used otherwise.
// RFC 6238 as authenticator apps speak it is HMAC-SHA-1.
func unenforced(f func()) { fips140.WithoutEnforcement(f) }
