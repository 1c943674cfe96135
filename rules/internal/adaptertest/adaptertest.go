// Package adaptertest has what the tests of the packages that mount rules share: an Enforcer
// whose users have what their tokens say, and tests that are the same for every framework.
package adaptertest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// Lister knows tokens by the factors of their users, such as "OTP+FACE", or "nothing".
func Lister(_ context.Context, token string) ([]client.Factor, error) {
	var factors []client.Factor
	for name := range strings.SplitSeq(token, "+") {
		if name != "nothing" {
			factors = append(factors, client.Factor{ID: name, Type: client.FactorType(name)})
		}
	}
	return factors, nil
}

// Rig is an Enforcer that remembers its decisions and its log.
type Rig struct {
	*echomfa.Enforcer

	mu   sync.Mutex
	Seen []echomfa.Decision
	Log  bytes.Buffer
}

// ObserveDecision remembers a decision.
func (r *Rig) ObserveDecision(_ context.Context, d echomfa.Decision, _, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Seen = append(r.Seen, d)
}

// NewRig returns a Rig, of a configuration that may be changed.
func NewRig(tb testing.TB, change ...func(*echomfa.Config)) *Rig {
	tb.Helper()
	r := &Rig{}
	cfg := echomfa.Config{
		Client: echomfa.FactorListerFunc(Lister), Namespace: "test", InsecureAnyAudience: true, Observer: r,
		Logger: slog.New(slog.NewJSONHandler(&r.Log, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	e, err := echomfa.New(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, e.Close()) })
	r.Enforcer = e
	return r
}

// Rules returns a Set of a text.
func (r *Rig) Rules(tb testing.TB, text string) *rules.Set {
	tb.Helper()
	f, err := rules.Parse([]byte(text), "rules.yaml")
	require.NoError(tb, err)
	s, err := rules.New(f, rules.Config{Enforcer: r.Enforcer, Roles: []string{"admin", "clerk"}})
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, s.Close()) })
	return s
}

// Ask sends a request of a user who has some factors, such as "OTP+FACE", or "nothing", or
// "" for no token.
func Ask(tb testing.TB, app http.Handler, method, target, has string) *httptest.ResponseRecorder {
	tb.Helper()
	req := httptest.NewRequestWithContext(tb.Context(), method, target, nil)
	if has != "" {
		req.Header.Set("Authorization", "Bearer "+has)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, req)
	return w
}
