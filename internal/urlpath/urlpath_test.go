package urlpath_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/urlpath"
)

// TestSafe has what leads away for one reader or another, and what does not.
func TestSafe(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/", "/a", "/a//b", "/a/", "/a//", "/%2541", "/a/%2F/b", "/a/%5Cb", "/a/..%2Fb", "/a%2f..%2fb", "/..%2fa", "/a/%252e%252e/b", "/a;/b", "/;a",
		"/https%3A%2F%2Fa.example%2Fx", "/%zz%", "/...//a", "/a/;//b", "/%3f//a",
	} {
		assert.True(t, urlpath.Safe(path), path)
	}
	for _, path := range []string{
		"", "a", "//", "//a", `/\a`, `/a\b`, "/%2f", "/%2Fa", "/%5ca", "/%252fa", "/%25252525252fa", "/%2%66a", "/./a", "/a/..", "/a/%2e%2E/b", "/.//a",
		"/a/..//b", "/..%2f/a", "/x%2fy/..%2f%2fa", "/x//..%2f..%2f/a", "/a/..%5C%5Cb", "/a/..;%2f%2fb", "/;/a", "/;x//a", "/.%2f/a", "/%2e%2f/a",
		"/%09/a", "/a%00", "/a%250a", "/a%7f", "/a\n", "/a b", "/a?b", "/a#b", "/\u00e9",
	} {
		assert.False(t, urlpath.Safe(path), path)
	}
}

// TestSafeTakesOnePass would not end in time if each decoding were a pass.
func TestSafeTakesOnePass(t *testing.T) {
	t.Parallel()
	assert.True(t, urlpath.Safe("/a%"+strings.Repeat("25", 1<<20)+"41"))
	assert.False(t, urlpath.Safe("/%"+strings.Repeat("25", 1<<20)+"2f"))
}

// TestOriginal has what http.StripPrefix leaves.
func TestOriginal(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ uri, path, raw, query, stripped string }{
		{"/a/b", "/b", "", "", "/a"},
		{"/a/b", "b", "", "", "/a/"},
		{"/a/b", "", "", "", "/a/b"},
		{"/a/b?x", "/b", "", "x", "/a"},
		{"/a/b", "/a/b", "", "", ""},
		{"/a/b?x", "/b", "", "", ""},
		{"/ab", "b", "", "", ""},
		{"/a/b", "/c", "", "", ""},
		{"*", "/b", "", "", ""},
		{"//a/b", "/b", "", "", ""},
		{"/a//b", "//b", "", "", "/a"},
		{"/a/b%2Fc", "/b/c", "/b%2Fc", "", "/a"},
		{"/a/b%2Fc", "/c", "", "", ""},
		{"", "/b", "", "", ""},
		{"/a/" + strings.Repeat("b", 16<<10), "/" + strings.Repeat("b", 16<<10), "", "", ""},
		{"http://x.example/a/b", "/b", "", "", "/a"},
		{"%", "/b", "", "", ""},
	} {
		u, stripped := urlpath.Original(&http.Request{RequestURI: row.uri, URL: &url.URL{Path: row.path, RawPath: row.raw, RawQuery: row.query}})
		assert.Equal(t, row.stripped, stripped, row)
		assert.Equal(t, row.stripped != "", u != nil, row)
	}
}

// FuzzSafe holds what is safe against browsers' reading: decoded however often, and
// resolved in between, it never begins with two slashes.
func FuzzSafe(f *testing.F) {
	for _, seed := range []string{"/", "/a/..%2f/b", "/x%2fy/..%2f%2fa", "/%252e%252e//a", "/a/%5C..%5C%5Cb", "/;/a", "/a//..%2f..%2f/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if !urlpath.Safe(path) {
			return
		}
		seen := map[string]bool{}
		for next := []string{path}; len(next) > 0 && len(seen) < 1000; next = next[1:] {
			reading := next[0]
			if seen[reading] {
				continue
			}
			seen[reading] = true
			if strings.HasPrefix(strings.ReplaceAll(reading, `\`, "/"), "//") {
				t.Fatalf("%q is read as %q", path, reading)
			}
			merged := reading
			for strings.Contains(merged, "//") {
				merged = strings.ReplaceAll(merged, "//", "/")
			}
			next = append(next, urlpath.Decode(reading), resolve(reading), merged, strings.ReplaceAll(reading, `\`, "/"))
		}
	})
}

// resolve removes dot segments as the URL standard does.
func resolve(path string) string {
	var out []string
	segments := strings.Split(path, "/")[1:]
	for i, segment := range segments {
		switch dots := strings.ReplaceAll(strings.ToLower(segment), "%2e", "."); {
		case dots == "..":
			out = out[:max(len(out)-1, 0)]
		case dots != ".":
			out = append(out, segment)
			continue
		}
		if i == len(segments)-1 {
			out = append(out, "")
		}
	}
	return "/" + strings.Join(out, "/")
}
