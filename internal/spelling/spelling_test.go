package spelling_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/spelling"
)

// byDefinition is what Distance counts, in exponential time: letters to add,
// remove or change, or to swap with their neighbor.
func byDefinition(a, b string) int {
	if a == "" || b == "" {
		return len(a) + len(b)
	}
	cost := 1
	if a[0] == b[0] {
		cost = 0
	}
	least := min(byDefinition(a[1:], b[1:])+cost, byDefinition(a[1:], b)+1, byDefinition(a, b[1:])+1)
	if len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0] {
		least = min(least, byDefinition(a[2:], b[2:])+1)
	}
	return least
}

// TestDistance compares the distance with its definition, for all words of up to
// three of three letters, and for some that somebody could mistype.
func TestDistance(t *testing.T) {
	t.Parallel()
	words := []string{""}
	for at := 0; len(words[at]) < 3; at++ {
		for _, letter := range "ABC" {
			words = append(words, words[at]+string(letter))
		}
	}
	assert.Len(t, words, 1+3+9+27)
	for _, a := range words {
		for _, b := range words {
			assert.Equal(t, byDefinition(a, b), spelling.Distance(a, b), "%q and %q", a, b)
		}
	}
	for _, row := range []struct {
		a, b string
		want int
	}{
		{"OPT", "OTP", 1}, {"EMIAL", "EMAIL", 1}, {"EMAILS", "EMAIL", 1}, {"PASSKY", "PASSKEY", 1}, {"FAEC", "FACE", 1}, {"", "OTP", 3},
	} {
		assert.Equal(t, row.want, spelling.Distance(row.a, row.b), "%q and %q", row.a, row.b)
	}
}
