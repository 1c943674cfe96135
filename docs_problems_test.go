package echomfa_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
)

// TestProblemTypesOfDocuments holds every problem type that a document names against
// the constants, and the headings of docs/problems.md, too. A fragment of a heading is
// not a type: a client that compares it with one never finds it.
func TestProblemTypesOfDocuments(t *testing.T) {
	t.Parallel()
	byHeading := map[string]string{
		"not-enrolled":    echomfa.ProblemNotEnrolled,
		"unauthenticated": echomfa.ProblemUnauthenticated,
		"unavailable":     echomfa.ProblemUnavailable,
		"internal":        echomfa.ProblemInternalError,
	}
	page, sections := read(t, "docs/problems.md"), 0
	for _, section := range strings.Split(page, "\n## ")[1:] {
		heading, rest, _ := strings.Cut(section, "\n")
		sections++
		assert.True(t, strings.HasPrefix(rest, "\n`"+byHeading[heading]+"`\n"), heading)
	}
	assert.Equal(t, len(byHeading), sections)

	var types []string
	for _, constant := range byHeading {
		_, fragment, _ := strings.Cut(constant, "#")
		types = append(types, "#"+fragment)
	}
	named := make(map[string]int)
	for name, text := range documents(t) {
		for _, fragment := range regexp.MustCompile(`#Problem\w+`).FindAllString(text, -1) {
			named[name]++
			assert.Contains(t, types, fragment, name)
		}
		for heading := range byHeading {
			assert.Empty(t, regexp.MustCompile(`"#`+heading).FindString(text), name)
		}
	}
	assert.Positive(t, named["docs/cookbook.md"])
}
