// Package redact takes access tokens out of texts.
package redact

import "strings"

const (
	redacted = "[redacted]"
	// leastSecret is the length from which a token is taken for a secret.
	// Shorter ones do not occur but in tests, and are parts of plain words.
	leastSecret = 16
)

// Token takes a token out of a text, and the parts of a JWT, which may stand
// alone.
func Token(text, token string) string {
	if len(token) < leastSecret {
		return text
	}
	text = strings.ReplaceAll(text, token, redacted)
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= leastSecret {
			text = strings.ReplaceAll(text, part, redacted)
		}
	}
	return text
}
