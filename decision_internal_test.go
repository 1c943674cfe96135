package echomfa

import (
	"html/template"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRefusalPageIsChecked has the ends of what each field of a page may hold.
func TestRefusalPageIsChecked(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	fine := []RefusalPage{
		{HTML: "x"},
		{HTML: template.HTML(strings.Repeat("x", most))},
		{HTML: "x", Style: "p{}"},
		{HTML: "x", Sources: "a !~"},
	}
	wrong := []RefusalPage{
		{},
		{HTML: template.HTML(strings.Repeat("x", most+1))},
		{HTML: "x", Style: "p{}", Sources: "a"},
	}
	for _, r := range "-09AMZamz" {
		fine = append(fine, RefusalPage{HTML: "x", Language: string(r)})
	}
	for _, r := range "\x00 ,./:@[`{\x7fé你" {
		wrong = append(wrong, RefusalPage{HTML: "x", Language: string(r)})
	}
	for _, r := range "\x00\x1f,\x7fé你" {
		wrong = append(wrong, RefusalPage{HTML: "x", Sources: string(r)})
	}
	for _, page := range fine {
		assert.NoError(t, page.check(), "%.20s %q %q", page.HTML, page.Language, page.Sources)
	}
	for _, page := range wrong {
		assert.Error(t, page.check(), "%.20s %q %q", page.HTML, page.Language, page.Sources)
	}
}
