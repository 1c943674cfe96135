package echomfa_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
)

// exposed collects all that a token could show up in.
type exposed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (x *exposed) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.Write(p)
}

// show writes v in the ways in which programs print, and the errors inside it.
func (x *exposed) show(v any) {
	for _, format := range []string{"%v\n", "%+v\n", "%#v\n", "%s\n", "%q\n", "%x\n"} {
		_, _ = fmt.Fprintf(x, format, v)
	}
	if text, err := json.Marshal(v); err == nil {
		_, _ = x.Write(text)
	}
	slog.New(slog.NewJSONHandler(x, nil)).Info("m", "v", v)
	switch e := v.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			x.show(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			x.show(inner)
		}
	}
}

// ObserveDecision makes it an Observer.
func (x *exposed) ObserveDecision(_ context.Context, d echomfa.Decision, route, method string) {
	x.show(d)
	x.show(route + method)
}

// TestT24AndT28TokenIsSeenByGenAuthOnly sends tokens through every outcome, as every
// kind of client, and looks for them, or a part of them, in all that comes out:
// they stand in the Authorization header to GenAuth and nowhere else.
func TestT24AndT28TokenIsSeenByGenAuthOnly(t *testing.T) {
	t.Parallel()
	var x exposed
	genauth := genauthtest.Start(t)
	genauth.AddUser(genauthtest.User{ID: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP, "X-CONTROL"}})
	genauth.AddUser(genauthtest.User{ID: "bob"})
	sent := 0
	genauth.OnRequest(func(r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			sent++
		}
		r.Header.Del("Authorization")
		dump, _ := httputil.DumpRequest(r, true)
		_, _ = x.Write(dump)
	})
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)

	var tokens []string
	verify := func(string) error { return nil }
	walked, control := 0, false
	// visit sends a new token of a user in every way, to an Enforcer of its own:
	// one outcome must not stand in the way of the next.
	visit := func(user string, token genauthtest.Token) {
		e := newEnforcer(t, c, func(cfg *echomfa.Config) {
			cfg.Audience, cfg.Namespace, cfg.EnrollURL, cfg.LoginURL = nil, "", "/mfa", "/login"
			cfg.KeepDecision, cfg.Observer = true, &x
			cfg.Logger = slog.New(slog.NewTextHandler(&x, &slog.HandlerOptions{Level: slog.LevelDebug}))
			cfg.CheckToken = func(_ context.Context, token string) error { return verify(token) }
		})
		token.UserID = user
		raw := genauth.Mint(token)
		tokens = append(tokens, raw)
		_, err := e.Decide(t.Context(), raw, otp())
		x.show(err)
		for _, mode := range []echomfa.Mode{echomfa.Enforce, echomfa.ReportOnly} {
			app := echo.New()
			app.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c echo.Context) error {
					err := next(c)
					x.show(err)
					return err
				}
			})
			app.Any("/*", func(c echo.Context) error {
				d, _ := echomfa.DecisionFrom(c.Request().Context())
				x.show(d)
				return c.NoContent(http.StatusNoContent)
			}, echomfa.WithConfig(echomfa.MiddlewareConfig{Enforcer: e, Policy: otp(), Mode: mode}))
			for _, handler := range []http.Handler{app, e.Middleware(echomfa.HandlerConfig{Policy: otp(), Mode: mode})(http.NotFoundHandler())} {
				for _, kind := range []string{"Accept: */*", "Sec-Fetch-Mode: navigate", "HX-Request: true"} {
					r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin?page=2", nil)
					withToken(raw)(r)
					key, value, _ := strings.Cut(kind, ": ")
					r.Header.Set(key, value)
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, r)
					dump, err := httputil.DumpResponse(w.Result(), true)
					require.NoError(t, err)
					_, _ = x.Write(dump)
				}
			}
		}
		x.show(e.Invalidate(t.Context(), raw+" "))
		x.show(e.InvalidateUser(t.Context(), raw))
		x.show(e.Stats())
		require.NoError(t, e.Close())
		walk(reflect.ValueOf(e), make(map[visited]bool), func(text string) {
			walked++
			control = control || text == "X-CONTROL"
			_, _ = fmt.Fprintf(&x, "held by the Enforcer: %s\n", text)
		})
	}

	access := genauthtest.Token{}
	visit("alice", access)
	visit("bob", access)
	visit("alice", genauthtest.Token{Opaque: true})
	visit("alice", genauthtest.Token{Lifetime: -1})
	visit("alice", genauthtest.Token{Kind: genauthtest.KindID})
	visit("alice", genauthtest.Token{Claims: map[string]any{"aud": "other"}})
	visit("alice", genauthtest.Token{Claims: map[string]any{"exp": "canary"}})
	visit("alice", genauthtest.Token{MinLength: 9000})
	for _, change := range []func(*genauthtest.Answer){
		genauthtest.HTTPStatus(http.StatusBadGateway, ""), genauthtest.RateLimited("0"), genauthtest.HTML(), genauthtest.Data("null"),
		genauthtest.Envelope(499, 2011), genauthtest.Envelope(401, 2020), genauthtest.Redirect(http.StatusFound, genauth.URL()),
	} {
		genauth.SetFault(genauthtest.Fault{Change: change, Times: 1})
		visit("alice", access)
	}
	genauth.ClearFaults()
	for _, bad := range []func(token string) error{
		func(token string) error { return fmt.Errorf("bad token %q", token) },
		func(token string) error { return fmt.Errorf("%w: %s", client.ErrUnavailable, token) },
		func(token string) error {
			return fmt.Errorf("bad signature %s", token[strings.LastIndexByte(token, '.')+1:])
		},
		func(token string) error { panic("cannot verify " + token) },
		func(token string) error { panic(fmt.Errorf("cannot verify %s", token)) },
	} {
		verify = bad
		visit("alice", access)
	}
	verify = func(string) error { return nil }
	genauth.Stop()
	visit("alice", access)

	assert.True(t, control, "the walk reaches the facts in the cache")
	assert.Greater(t, walked, 100)
	assert.Greater(t, sent, 10, "GenAuth was asked")
	text := x.text.String()
	for _, outcome := range []string{"allowed", "not_enrolled", "unauthenticated", "unavailable", "internal_error"} {
		assert.Contains(t, text, outcome)
	}
	for i, raw := range tokens {
		for _, part := range append(strings.Split(raw, ".")[max(0, strings.Count(raw, ".")-1):], fmt.Sprintf("%x", raw)) {
			at := strings.Index(text, part)
			assert.Negative(t, at, "token %d is in: %.300q", i, text[max(0, at-200):])
		}
	}
}

// visited is a value that a walk has been at.
type visited struct {
	at  uintptr
	typ reflect.Type
}

// walk calls found for every text, and every run of bytes, that v holds. What
// belongs to net/http is left out: the buffers of its connections hold what was
// sent to GenAuth. So is what the test collects.
func walk(v reflect.Value, seen map[visited]bool, found func(string)) {
	if !v.IsValid() || v.Type().PkgPath() == "net/http" || v.Type() == reflect.TypeFor[exposed]() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		found(v.String())
	case reflect.Pointer, reflect.Map:
		at := visited{v.Pointer(), v.Type()}
		if v.IsNil() || seen[at] {
			return
		}
		seen[at] = true
		if v.Kind() == reflect.Pointer {
			walk(v.Elem(), seen, found)
			return
		}
		for entries := v.MapRange(); entries.Next(); {
			walk(entries.Key(), seen, found)
			walk(entries.Value(), seen, found)
		}
	case reflect.Interface:
		walk(v.Elem(), seen, found)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), seen, found)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			raw := make([]byte, v.Len())
			for i := range raw {
				raw[i] = byte(v.Index(i).Uint())
			}
			found(string(raw))
			return
		}
		for i := range v.Len() {
			walk(v.Index(i), seen, found)
		}
	default: // numbers, and functions, channels and addresses, which cannot be looked into
	}
}
