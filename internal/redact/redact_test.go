package redact_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/redact"
)

// TestRedact has what counts as a secret: a token of 16 bytes or more, and such
// parts of one, which may be quoted alone.
func TestRedact(t *testing.T) {
	t.Parallel()
	short, long := strings.Repeat("a", 15), strings.Repeat("b", 16)
	for name, row := range map[string]struct{ text, token, want string }{
		"a token":            {"no " + long + "!", long, "no [redacted]!"},
		"a short one":        {"no " + short + "!", short, "no " + short + "!"},
		"a part":             {"no " + long + "!", short + "." + long, "no [redacted]!"},
		"a short part":       {"no " + short + "!", short + "." + long, "no " + short + "!"},
		"all parts together": {"no " + short + "." + long + "!", short + "." + long, "no [redacted]!"},
		"twice":              {long + long, long, "[redacted][redacted]"},
		"another":            {"no token", long, "no token"},
	} {
		assert.Equal(t, row.want, redact.Token(row.text, row.token), name)
	}
}
