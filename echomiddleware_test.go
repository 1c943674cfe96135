package echomfa_test

import (
	"compress/gzip"
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

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
)

// echoAnswer is one answer, without what is new in each.
type echoAnswer struct {
	ran    bool
	status int
	header http.Header
	body   string
}

// answer sends a situation's request to an app that has the row's middleware at a
// place, or nowhere.
func (row *echoRow) answer(t *testing.T, place, situation string) echoAnswer {
	t.Helper()
	s := echoSituations()[situation]
	e := table(t, func(c *echomfa.Config) {
		c.EnrollURL, c.LoginURL, c.Cache.Size = "/mfa", "/login", 64
		if row.cookie {
			c.TokenLookup = "cookie:session"
		}
	})
	app, got := echo.New(), echoAnswer{}
	app.Logger.SetOutput(io.Discard)
	handler := func(c echo.Context) error {
		got.ran = true
		return c.String(http.StatusOK, strings.Repeat("secret page ", 10))
	}
	guards := []echo.MiddlewareFunc{e.Require(otp())}
	switch place {
	case "pre":
		app.Pre(row.mw(t))
	case "front":
		app.Use(row.mw(t))
	case "behind":
		guards = append(guards, row.mw(t))
	}
	for _, path := range []string{"/admin", "/admin/"} {
		app.Any(path, handler, guards...)
	}
	method, target, _ := strings.Cut(s.request, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for _, line := range s.headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	switch {
	case s.token == "":
	case row.cookie:
		r.AddCookie(&http.Cookie{Name: "session", Value: s.token})
	default:
		withToken(s.token)(r)
	}
	if row.setup != nil {
		row.setup(r)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	got.status, got.header = w.Code, w.Header()
	got.body = regexp.MustCompile(`[A-Z2-7]{26}`).ReplaceAllString(unzipped(t, w), "ID")
	return got
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
func (a *echoAnswer) differences(want *echoAnswer) []string {
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

// TestEchoMiddleware has every middleware that ships with Echo v4, before routing,
// in front of the guard and behind it: the answer is that of
// docs/answers.md, or the row says why not.
func TestEchoMiddleware(t *testing.T) {
	t.Parallel()
	for name, row := range echoRows() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			met := make(map[string]bool)
			for _, place := range places {
				if row.places != nil && !slices.Contains(row.places, place) {
					continue
				}
				for situation, s := range echoSituations() {
					want := row.answer(t, "", situation)
					require.Equal(t, want.status, s.status, situation)
					require.Equal(t, want.ran, situation == "allowed", situation)
					got := row.answer(t, place, situation)
					key := place + "/" + situation
					reason, ok := row.differs[key]
					if !ok {
						key = place + "/*"
						reason = row.differs[key]
					}
					excused, _, _ := strings.Cut(reason, ":")
					for _, what := range got.differences(&want) {
						assert.Contains(t, strings.Split(excused, " and "), what, "%s/%s: %.300v instead of %.300v", place, situation, fmt.Sprint(got), fmt.Sprint(want))
						met[key] = true
					}
					if situation != "allowed" {
						assert.False(t, got.ran, "%s/%s", place, situation)
						assert.NotContains(t, got.body, "secret page")
					}
				}
			}
			for key := range row.differs {
				assert.True(t, met[key], "%s: nothing differs", key)
			}
		})
	}
}

// TestEchoMiddlewareIsComplete compares the table with the package: a new version of
// Echo may bring another middleware.
func TestEchoMiddlewareIsComplete(t *testing.T) {
	t.Parallel()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/labstack/echo/v4/middleware").Output()
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
	for _, row := range echoRows() {
		covered = append(covered, strings.Fields(row.covers)...)
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
