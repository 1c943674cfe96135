package answertest

import (
	"compress/gzip"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
)

// Middleware is one that ships with a framework, tried before routing, in front of
// the guard and behind it.
type Middleware struct {
	Cookie bool                // the token is in a cookie: the middleware has Authorization
	Setup  func(*http.Request) // what the middleware needs of a request
	Places []string            // where it is tried; all by default
	// Differs has what is not the answer of docs/answers.md, by place, a slash and the
	// situation or "*", and why. The value is the name of a header that differs, or
	// "answer" if another one answers, a colon, and the reason.
	Differs map[string]string
	// App returns an app that has the middleware at a place, or nowhere if that is
	// empty, and a guard of e and p on /admin and /admin/, for all methods.
	App func(t *testing.T, e *echomfa.Enforcer, p echomfa.Policy, place string, handler http.Handler) http.Handler
}

// situation is a row of the table in docs/answers.md.
type situation struct {
	request string
	token   string
	headers []string
	status  int // without any middleware
}

func situations() map[string]situation {
	browser := []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}
	return map[string]situation{
		"missing, browser":     {"GET /admin?page=2", NotEnrolled, browser, 302},
		"missing, form":        {"POST /admin?page=2", NotEnrolled, browser, 303},
		"missing, program":     {"GET /admin", NotEnrolled, nil, 403},
		"missing, HTMX":        {"GET /admin", NotEnrolled, []string{"HX-Request: true"}, 403},
		"no token, browser":    {"GET /admin?page=2", "", browser, 302},
		"no token, program":    {"GET /admin", "", nil, 401},
		"refused, program":     {"GET /admin", refused, nil, 401},
		"unavailable, browser": {"GET /admin", unavailable, browser, 503},
		"unavailable, program": {"GET /admin", limited, nil, 503},
		"failed, program":      {"GET /admin", panicking, nil, 500},
		"allowed":              {"GET /admin", Enrolled, browser, 200},
	}
}

// Run shows that the answers with the middleware are those without it, but for what
// Differs has.
func (m *Middleware) Run(t *testing.T) {
	t.Helper()
	met := make(map[string]bool)
	for _, place := range []string{"pre", "front", "behind"} {
		if m.Places != nil && !slices.Contains(m.Places, place) {
			continue
		}
		for name, s := range situations() {
			want := m.answer(t, "", s)
			require.Equal(t, want.status, s.status, name)
			require.Equal(t, want.ran, name == "allowed", name)
			got := m.answer(t, place, s)
			key := place + "/" + name
			reason, ok := m.Differs[key]
			if !ok {
				key = place + "/*"
				reason = m.Differs[key]
			}
			excused, _, _ := strings.Cut(reason, ":")
			for _, what := range got.differences(&want) {
				assert.Contains(t, strings.Split(excused, " and "), what, "%s/%s: %.300v instead of %.300v", place, name, fmt.Sprint(got), fmt.Sprint(want))
				met[key] = true
			}
			if name != "allowed" {
				assert.False(t, got.ran, "%s/%s", place, name)
				assert.NotContains(t, got.body, "secret page")
			}
		}
	}
	for key := range m.Differs {
		assert.True(t, met[key], "%s: nothing differs", key)
	}
}

// middlewareAnswer is one answer, without what is new in each.
type middlewareAnswer struct {
	ran    bool
	status int
	header http.Header
	body   string
}

// answer sends a situation's request to an app that has the middleware at a place.
func (m *Middleware) answer(t *testing.T, place string, s situation) middlewareAnswer {
	t.Helper()
	cfg := echomfa.Config{
		Client: echomfa.FactorListerFunc(Lister), Namespace: "answertest", Audience: []string{"app"},
		EnrollURL: "/mfa", LoginURL: "/login", Cache: echomfa.CacheConfig{Size: 64},
	}
	if m.Cookie {
		cfg.TokenLookup = "cookie:session"
	}
	e, err := echomfa.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	var got middlewareAnswer
	app := m.App(t, e, echomfa.AnyOf(echomfa.OTP), place, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		got.ran = true
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, strings.Repeat("secret page ", 10))
	}))
	w := httptest.NewRecorder()
	app.ServeHTTP(w, m.request(t.Context(), s))
	got.status, got.header = w.Code, w.Header()
	got.body = regexp.MustCompile(`[A-Z2-7]{26}`).ReplaceAllString(unzipped(t, w), "ID")
	return got
}

func (m *Middleware) request(ctx context.Context, s situation) *http.Request {
	method, target, _ := strings.Cut(s.request, " ")
	r := httptest.NewRequestWithContext(ctx, method, target, nil)
	for _, line := range s.headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	switch {
	case s.token == "":
	case m.Cookie:
		r.AddCookie(&http.Cookie{Name: "session", Value: s.token})
	default:
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	if m.Setup != nil {
		m.Setup(r)
	}
	return r
}

func unzipped(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Header().Get("Content-Encoding") != "gzip" {
		return w.Body.String()
	}
	z, err := gzip.NewReader(w.Body)
	require.NoError(t, err)
	raw, err := io.ReadAll(z)
	require.NoError(t, err)
	return string(raw)
}

// differences names what is not the same: headers, or "answer".
func (a *middlewareAnswer) differences(want *middlewareAnswer) []string {
	if a.ran != want.ran || a.status != want.status || a.body != want.body {
		return []string{"answer"}
	}
	var names []string
	for name := range want.header {
		if name != "Vary" && name != "Set-Cookie" && !slices.Equal(a.header[name], want.header[name]) {
			names = append(names, name)
		}
	}
	vary := strings.Join(a.header["Vary"], ", ")
	for name := range strings.SplitSeq(strings.Join(want.header["Vary"], ", "), ", ") {
		if !strings.Contains(vary, name) {
			names = append(names, "Vary")
		}
	}
	for _, cookie := range want.header["Set-Cookie"] {
		if !slices.Contains(a.header["Set-Cookie"], cookie) {
			names = append(names, "Set-Cookie")
		}
	}
	for _, name := range []string{"Location", "Www-Authenticate", "Retry-After", "Hx-Redirect"} {
		if a.header[name] != nil && want.header[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// Complete compares what a table covers with the constructors of a package: a new
// version of the framework may bring another middleware.
func Complete(t *testing.T, importPath string, covers []string) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", importPath).Output()
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "*.go"))
	require.NoError(t, err)
	var there, covered []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() && makesMiddleware(f) {
				there = append(there, f.Name.Name)
			}
		}
	}
	for _, names := range covers {
		covered = append(covered, strings.Fields(names)...)
	}
	require.NotEmpty(t, there)
	assert.ElementsMatch(t, there, covered)
}

// makesMiddleware reports whether a function returns an echo.MiddlewareFunc.
func makesMiddleware(f *ast.FuncDecl) bool {
	if f.Type.Results == nil || len(f.Type.Results.List) == 0 {
		return false
	}
	result, ok := f.Type.Results.List[0].Type.(*ast.SelectorExpr)
	return ok && result.Sel.Name == "MiddlewareFunc"
}
