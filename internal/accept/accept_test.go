package accept_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/accept"
	"github.com/echomfa/echomfa/internal/fieldvalue"
)

// acceptShapes are headers of n bytes that a careless reader goes over again
// and again.
func acceptShapes(n int) map[string]string {
	shapes := make(map[string]string)
	for name, part := range map[string]string{
		"commas": ",", "semicolons": ";", "quotes": `"`, "backslashes": `\`, "quoted commas": `",",`, "escapes": `"\"`, "spaces": " ",
		"types": "text/html,", "parameters": "text/html;a=b;", "qualities": "text/html;q=0.001,", "bad qualities": "a/b;q=x,",
		"one name": "a", "slashes": "a/", "equals": ";a==", "wildcards": "*/*,", "open quotes": `a/b;c=",`,
	} {
		shapes[name] = strings.Repeat(part, n/len(part)+1)[:n]
	}
	shapes["a parameter's quote"] = `text/html;a="` + strings.Repeat("x", n-13)
	return shapes
}

// read has an Accept header read.
func read(header string) {
	accept.KindOf(&http.Request{Header: http.Header{"Accept": {header}}})
}

// TestT40AcceptIsReadInLinearTime shows that each byte of a header is read a
// fixed number of times: it is in at most one element, and in at most one
// parameter of that, and what is allocated grows no faster than the header.
func TestT40AcceptIsReadInLinearTime(t *testing.T) {
	const n = 64 << 10
	small, large := acceptShapes(n), acceptShapes(4*n)
	for name, header := range large {
		bytes := 0
		for element := range fieldvalue.Elements(header, ',') {
			bytes += len(element) + 1
			inside := 0
			for part := range fieldvalue.Elements(element, ';') {
				inside += len(part) + 1
			}
			assert.Equal(t, len(element)+1, inside, name)
		}
		assert.Equal(t, len(header)+1, bytes, name)

		once := testing.AllocsPerRun(1, func() { read(small[name]) })
		four := testing.AllocsPerRun(1, func() { read(header) })
		assert.LessOrEqual(t, four, 4*once+16, name)
	}
}

// BenchmarkAccept64KiB has the time for the longest header that servers take in
// practice, and for one of a quarter.
func BenchmarkAccept64KiB(b *testing.B) {
	for _, n := range []int{16 << 10, 64 << 10} {
		for name, header := range acceptShapes(n) {
			b.Run(name+"/"+map[bool]string{true: "64KiB", false: "16KiB"}[n == 64<<10], func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					read(header)
				}
			})
		}
	}
}
