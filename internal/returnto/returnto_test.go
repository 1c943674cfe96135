package returnto_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/returnto"
)

// back returns what is made of a value in an app without an enrollment page.
func back(app *returnto.App, value string) string {
	address, _ := app.Back(value, &returnto.Destination{})
	return address
}

// TestReturnTo has what is safe to send a browser back to. Good ones are kept
// byte for byte.
func TestReturnTo(t *testing.T) {
	t.Parallel()
	app, err := returnto.NewApp("https://admin.example.com", "return_to")
	require.NoError(t, err)
	good := []string{
		"/", "/admin", "/admin/", "/a/b.html", "/a/b..c/.d/e.", "/a/...", "/~user/@me:1", "/caf%C3%A9", "/a%20b", "/a+b",
		"/a%2Fb", "/100%25", "/?", "/x?return_to=https://evil.example/", `/x?a=\\b//c/../d`, "/x?a=%00%0d%0a", "/x?a=é",
		"/zebra-Z", "/a%0g/%g0", "/a;b=c,d", "/(a)'!*", "/x?" + strings.Repeat("a", 2557), "/%E4%BD%A0?q=%E5%A5%BD",
		"/;x", "/;", "/a/;/b", "/a/", "/a//", "/a/...//b",
	}
	for _, path := range good {
		assert.Equal(t, path, back(app, path), path)
		assert.Equal(t, path, back(app, "https://admin.example.com"+path), path)
	}
	bad := []string{
		"", "admin", "https://evil.example/", "HTTPS://evil.example", "//evil.example", "///evil.example", `/\evil.example`,
		`\/evil.example`, "/%2fevil.example", "/%2Fevil.example", "/%5cevil.example", "/%255cevil.example", "/%252fevil.example",
		"/%25252525252fevil.example", "/%2%66evil.example", "/%5C", "//", "/%2F",
		"/a/../b", "/a/..", "/..", "/.", "/./a", "/%2e%2e/a", "/a/%2E%2e", "/a/.%2e/b", "/a%/%2e%2e/b",
		// What is left of them without dot segments, for one reader or another.
		"/a/..//evil.example", "/.//evil.example", "/%2e%2e//evil.example", "/a/%2e%2e/%2fevil.example", "/a/..%2f/evil.example",
		"/a%2f..%2f/evil.example", "/a/..%2f%2fevil.example", "/a/..%5c%5cevil.example", "/.%2f/evil.example", "/%252e%252e//evil.example",
		"/a/%252e%252e/%252fevil.example", "/a%2fb/..%2f%2fevil.example", "/a//..%2f/b//..%2f..%2f/evil.example", "/x%2fy/..%2f..%2f/evil.example",
		"/;/evil.example", "/;//evil.example", "/;a=b%2fevil.example", "/a/..;%2f/evil.example", "/%3b/evil.example",
		"/\tevil", "/a\nb", "/a\x00b", "/%09/evil.example", "/a%0d%0aSet-Cookie:x", "/a%0a", "/a%0A", "/a%7f", "/a b", "/a\"b", "/a#b", "/x?a#b", "/x?a\x01",
		"javascript:alert(1)", "/" + strings.Repeat("a", 2560), " /a", "/é",
		"https://admin.example.com", "https://admin.example.com.evil.example/", "https://admin.example.com@evil.example/",
		"https://admin.example.com//evil.example", "http://admin.example.com/", "https://admin.example.com:444/",
	}
	for _, path := range bad {
		assert.Empty(t, back(app, path), path)
	}
}

// FuzzReturnTo shows that what passes is a path of the same origin for the
// readers that matter, also when it is resolved or decoded once more, and that
// it is passed on unchanged.
func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{
		"/", "/admin?page=2", "//evil.example", `/\evil.example`, "/%2f%2fevil", "/a/../b", "/%252e%252e/", "/a%", "/a?b#c", "/\t/x", "/a%2fb",
		"/a/..%2f/evil", "/a/%2F/b", "/a//b", "/a/%5Cb", "/;/evil", "/x%2fy/..%2f%2fevil",
	} {
		f.Add(seed)
	}
	app := &returnto.App{Param: "return_to"}
	base := &url.URL{Scheme: "https", Host: "admin.example.com", Path: "/mfa"}
	f.Fuzz(func(t *testing.T, value string) {
		got := back(app, value)
		if got == "" {
			return
		}
		if got != value {
			t.Fatalf("%q became %q", value, got)
		}
		path, _, _ := strings.Cut(got, "?")
		for range 4 {
			u, err := base.Parse(path)
			if err == nil && (u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil) {
				t.Fatalf("%q leaves the origin as %q", value, u)
			}
			if strings.HasPrefix(path, "//") || strings.HasPrefix(path, `/\`) || strings.ContainsAny(path, "\r\n\t\x00") {
				t.Fatalf("%q becomes %q", value, path)
			}
			if err == nil {
				// Another reader merges slashes, or resolves once more.
				for _, again := range []string{u.EscapedPath(), u.Path, mergeSlashes(path)} {
					if v, err := base.Parse(again); err == nil && v.Host != base.Host {
						t.Fatalf("%q leaves the origin as %q", value, again)
					}
				}
			}
			decoded, err := url.PathUnescape(path)
			if err != nil {
				return
			}
			path = decoded
		}
	})
}

func mergeSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// TestDestinations has what is made of EnrollURL and LoginURL.
func TestDestinations(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ base, text, want, same string }{
		{"", "/mfa", "/mfa?back=%2Fa%3Fb", "/mfa"},
		{"", "/mfa/", "/mfa/?back=%2Fa%3Fb", "/mfa"},
		{"", "/m%66a#x", "/m%66a?back=%2Fa%3Fb#x", "/mfa/"},
		{"", "/mfa?", "/mfa?back=%2Fa%3Fb", "/mfa"},
		{"", "/mfa?x=1", "/mfa?x=1&back=%2Fa%3Fb", "/mfa"},
		{"https://app.example", "/mfa", "/mfa?back=%2Fa%3Fb", "/mfa"},
		{"https://app.example", "https://APP.example:443/mfa", "https://APP.example:443/mfa?back=%2Fa%3Fb", "/mfa"},
		{"https://app.example", "https://id.example/mfa", "https://id.example/mfa?back=https%3A%2F%2Fapp.example%2Fa%3Fb", ""},
		{"https://app.example", "http://app.example/mfa", "http://app.example/mfa?back=https%3A%2F%2Fapp.example%2Fa%3Fb", ""},
		{"https://app.example/tools/", "/mfa", "/tools/mfa?back=%2Ftools%2Fa%3Fb", "/mfa"},
		{"https://app.example/tools", "https://app.example/tools/mfa", "https://app.example/tools/mfa?back=%2Ftools%2Fa%3Fb", "/mfa"},
		{"https://app.example/tools", "https://app.example/mfa", "https://app.example/mfa?back=%2Ftools%2Fa%3Fb", ""},
		{"https://app.example/tools", "https://app.example/toolset", "https://app.example/toolset?back=%2Ftools%2Fa%3Fb", ""},
	} {
		app, err := returnto.NewApp(test.base, "back")
		require.NoError(t, err)
		d, err := app.NewDestination("EnrollURL", test.text, false)
		require.NoError(t, err, test)
		at, why := app.Location(&d, back(app, "/a?b"), &d, returnto.MaxLocationBytes)
		assert.Equal(t, test.want, at)
		assert.Equal(t, returnto.Kept, why)
		if test.same == "" {
			test.same = "/other"
		}
		for path, want := range map[string]bool{"/mfa": test.same != "/other", "/mfa/": test.same != "/other", "/": false, "/mfa/x": false} {
			assert.Equal(t, want, d.Is(httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)), "%v: %s", test, path)
		}

		bare, err := app.NewDestination("EnrollURL", test.text, true)
		require.NoError(t, err)
		at, why = app.Location(&bare, back(app, "/a?b"), &bare, returnto.MaxLocationBytes)
		assert.Equal(t, bare.Text, at)
		assert.Equal(t, returnto.Kept, why)
	}
	app, err := returnto.NewApp("", "back")
	require.NoError(t, err)
	none, err := app.NewDestination("EnrollURL", "", false)
	require.NoError(t, err)
	assert.Equal(t, returnto.Destination{}, none)
	_, err = app.NewDestination("EnrollURL", "https://id.example/mfa", false)
	require.EqualError(t, err, "echomfa: ReturnTo.BaseURL: required because EnrollURL is on another origin, or set ReturnTo.Disabled")
	_, err = app.NewDestination("EnrollURL", "/mfa?back=x", false)
	require.EqualError(t, err, `echomfa: EnrollURL: has a parameter "back" already`)
}

// TestWrongAddresses has what is said of addresses that browsers cannot be sent to.
func TestWrongAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"mfa":                          "does not begin with a slash",
		"//id.example":                 "begins with two slashes",
		"/a/../b":                      "dots",
		"/%2fid.example":               "may lead to another origin",
		"/a b":                         "must be percent-encoded",
		"/caf\u00e9":                   "must be percent-encoded",
		"/%zz":                         "cannot be parsed",
		"ftp://id.example":             `does not begin with "https://" or "http://"`,
		"https:":                       "has no host",
		"https:id.example":             "has no host",
		"https://me:secret@id.example": "has user info",
	} {
		app, err := returnto.NewApp("", "back")
		require.NoError(t, err)
		d, err := app.NewDestination("LoginURL", text, false)
		require.ErrorContains(t, err, "echomfa: LoginURL: ", text)
		require.ErrorContains(t, err, want, text)
		assert.NotContains(t, err.Error(), "secret")
		assert.Equal(t, returnto.Destination{}, d)
	}
	for text, want := range map[string]string{
		"app.example":                   `put "https://" before it`,
		"https://app.example?":          "has a query",
		"https://app.example#x":         "has a fragment",
		"https://app.example/a/../b":    "dots",
		"https://app.example/a//b":      "has two slashes in its path",
		"https://app.example:0":         "has a host or a port",
		"https://app.example:65536":     "has a host or a port",
		"https://app,example":           "has a host or a port",
		"https://app.example/caf\u00e9": "must be percent-encoded",
		"https://app.example/%zz":       "cannot be parsed",
	} {
		app, err := returnto.NewApp(text, "back")
		require.ErrorContains(t, err, "echomfa: ReturnTo.BaseURL: ", text)
		require.ErrorContains(t, err, want, text)
		assert.Nil(t, app.Origin)
	}
	for text, want := range map[string]string{
		"https://APP.example:443/": "https://app.example", "http://app.example:80": "http://app.example",
		"http://app.example:443": "http://app.example:443", "https://app.example:": "https://app.example",
		"https://app.example:65535": "https://app.example:65535", "https://[::1]:8080/": "https://[::1]:8080",
	} {
		app, err := returnto.NewApp(text, "back")
		require.NoError(t, err, text)
		assert.Equal(t, want, app.Origin.String())
		assert.Empty(t, app.Prefix)
	}
}

// TestRoom has how long addresses may be, to the byte.
func TestRoom(t *testing.T) {
	t.Parallel()
	app := &returnto.App{Param: "back"}
	for value, want := range map[string]returnto.Omission{
		"/" + strings.Repeat("a", 2559): returnto.Kept, "/" + strings.Repeat("a", 2560): returnto.TooLarge,
		"/mfa?back=" + strings.Repeat("a", 2560):   returnto.Kept,
		"/mfa?back=" + strings.Repeat("a", 2561):   returnto.TooLarge,
		"/mfa?back=" + strings.Repeat("%61", 2560): returnto.Kept,
	} {
		_, why := app.Back(value, &returnto.Destination{})
		if len(value) > returnto.MaxLocationBytes {
			want = returnto.TooLarge // and there is no enrollment page to go beyond
		}
		assert.Equal(t, want, why, len(value))
	}

	enroll, err := app.NewDestination("EnrollURL", "/mfa", false)
	require.NoError(t, err)
	inner := "/" + strings.Repeat("a", 1500)
	long := "/mfa?back=" + url.QueryEscape(inner) + "&x=" + strings.Repeat("b", 2300)
	got, why := app.Back(long, &enroll)
	assert.Equal(t, inner, got)
	assert.Equal(t, returnto.Kept, why)

	login, err := app.NewDestination("LoginURL", "/login", false)
	require.NoError(t, err)
	for room, want := range map[int]string{
		len("/login?back=%2Fa%3Fb%3Dc"): "/login?back=%2Fa%3Fb%3Dc",
		len("/login?back=/a?b=c"):       "/login?back=/a?b=c",
		len("/login?back=/a?b="):        "/login",
	} {
		at, why := app.Location(&login, "/a?b=c", &enroll, room)
		assert.Equal(t, want, at)
		assert.Equal(t, want == "/login", why == returnto.TooLarge)
	}
	at, _ := app.Location(&login, "/mfa?back=%2Fa&x=1", &enroll, len("/login?back=%2Fa"))
	assert.Equal(t, "/login?back=%2Fa", at, "beyond the enrollment page")

	assert.Equal(t, 3584, returnto.RoomFor(nil))
	assert.Equal(t, 2048, returnto.RoomFor(http.Header{"X": {strings.Repeat("x", 4096)}}))
	assert.Equal(t, 4096-256-len("Location: \r\nX: \r\nX: \r\n")-1000, returnto.RoomFor(http.Header{"X": {strings.Repeat("x", 500), strings.Repeat("x", 500)}}))
}
