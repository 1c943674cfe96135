package rules_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// lister says that a user has enrolled what the token is called by: "token-of-OTP-FACE".
type lister struct{}

func (lister) ListEnrolledFactors(_ context.Context, token string) ([]client.Factor, error) {
	var factors []client.Factor
	for name := range strings.SplitSeq(strings.TrimPrefix(token, "token-of-user-"), "-") {
		factors = append(factors, client.Factor{Type: client.FactorType(name)})
	}
	return factors, nil
}

func newEnforcer(tb testing.TB, change ...func(*echomfa.Config)) *echomfa.Enforcer {
	tb.Helper()
	cfg := echomfa.Config{
		Client: lister{}, Namespace: "rules", InsecureAnyAudience: true,
		Cache:  echomfa.CacheConfig{FreshFor: time.Minute, DenyFreshFor: time.Minute},
		Lookup: echomfa.LookupConfig{MaxPerSecond: 1e6, MaxConcurrent: 1000},
	}
	for _, f := range change {
		f(&cfg)
	}
	e, err := echomfa.New(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, e.Close()) })
	return e
}

// logged collects log lines.
type logged struct {
	mu    sync.Mutex
	bytes bytes.Buffer
	wrote *sync.Cond
}

func newLogged() *logged {
	l := &logged{}
	l.wrote = sync.NewCond(&l.mu)
	return l
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrote.Broadcast()
	return l.bytes.Write(p)
}

// wait returns when there are so many lines with an event.
func (l *logged) wait(event string, count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for bytes.Count(l.bytes.Bytes(), []byte(`"event":"`+event+`"`)) < count {
		l.wrote.Wait()
	}
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

// events returns the lines with an event.
func (l *logged) events(tb testing.TB, event string) []map[string]any {
	tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []map[string]any
	for line := range bytes.Lines(l.bytes.Bytes()) {
		var fields map[string]any
		require.NoError(tb, json.Unmarshal(line, &fields))
		if fields["event"] == event {
			found = append(found, fields)
		}
	}
	return found
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	require.NoError(tb, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(tb, os.Rename(path+".new", path))
}

func open(tb testing.TB, path string, cfg rules.Config) *rules.Set {
	tb.Helper()
	s, err := rules.Open(path, cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, s.Close()) })
	return s
}

// requires returns what a set asks of a request, by name and policy.
func requires(tb testing.TB, s *rules.Set, method, route string) string {
	tb.Helper()
	required, err := rules.Requirement(s, 0, method, route, nil)
	require.NoError(tb, err)
	assert.Len(tb, required.Revision, 12)
	return required.Rule + ": " + required.Policy.String()
}

const (
	strictAdmin = head + "rules:\n  - name: admin\n    require: OTP and FACE\n    under: [\"/admin\"]\n"
	looseAdmin  = head + "rules:\n  - name: admin\n    require: OTP or FACE\n    under: [\"/admin\"]\n"
)

// TestReload takes what a file says at once, and keeps the rules that it has while the
// file has a mistake.
func TestReload(t *testing.T) {
	t.Parallel()
	log := newLogged()
	path := filepath.Join(t.TempDir(), "mfa.yaml")
	write(t, path, strictAdmin)
	s := open(t, path, rules.Config{Enforcer: newEnforcer(t), Logger: log.logger(), Poll: time.Hour})
	assert.Equal(t, "admin: OTP and FACE", requires(t, s, "GET", "/admin/:id"))
	first := s.Revision()
	assert.Len(t, first.Hash, 64)

	write(t, path, looseAdmin)
	require.NoError(t, s.Reload())
	assert.Equal(t, "admin: OTP or FACE", requires(t, s, "GET", "/admin/:id"))
	changed := log.events(t, "rules_changed")
	require.Len(t, changed, 1)
	assert.Equal(t, "WARN", changed[0]["level"])
	assert.EqualValues(t, 2, changed[0]["looser"])
	assert.Equal(t, first.Hash[:12], changed[0]["rules_before"])
	assert.Contains(t, changed[0]["changes"], "looser: /admin: admin (OTP and FACE) -> admin (OTP or FACE)")
	good := s.Revision()

	for _, broken := range []string{head + "rules: 1\n", "", strings.Repeat("#", 2<<20)} {
		write(t, path, broken)
		var mistakes rules.Mistakes
		require.ErrorAs(t, s.Reload(), &mistakes)
		require.Error(t, s.Reload())
		assert.Equal(t, good, s.Revision())
		assert.True(t, s.Stats().Stale)
	}
	assert.Len(t, log.events(t, "rules_refused"), 3, "once for each reason")
	require.NoError(t, os.Remove(path))
	require.Error(t, s.Reload())
	assert.Equal(t, "admin: OTP or FACE", requires(t, s, "GET", "/admin/:id"))

	write(t, path, looseAdmin)
	require.NoError(t, s.Reload())
	assert.Equal(t, good, s.Revision(), "the content is that of the rules")
	assert.Len(t, log.events(t, "rules_restored"), 1)
	stats := s.Stats()
	assert.GreaterOrEqual(t, stats.Failed, uint64(7), "and what the notifications made it read")
	stats.Failed = 0
	assert.Equal(t, rules.Stats{Hash: good.Hash[:12], Rules: 2, Read: good.Read, Reloads: 1}, stats)
}

// TestReloadsUnderLoad changes the rules 1,000 times under 10,000 requests: each is decided
// as the file of before or of after says, and never in between.
func TestReloadsUnderLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mfa.yaml")
	write(t, path, strictAdmin)
	s := open(t, path, rules.Config{Enforcer: newEnforcer(t), Poll: time.Hour})
	other := map[string]string{parse(t, strictAdmin).Hash(): "admin: OTP and FACE", parse(t, looseAdmin).Hash(): "admin: OTP or FACE"}
	var (
		work   sync.WaitGroup
		left   atomic.Int64
		sure   atomic.Int64
		change = make(chan struct{})
	)
	left.Store(10_000)
	for range 4 {
		work.Go(func() {
			for n := left.Add(-1); n >= 0; n = left.Add(-1) {
				before := s.Revision()
				got := requires(t, s, "POST", "/admin/:id")
				if s.Revision() == before {
					sure.Add(1)
					assert.Equal(t, other[before.Hash], got)
				}
				assert.Contains(t, []string{"admin: OTP and FACE", "admin: OTP or FACE"}, got)
				if n%10 == 0 {
					change <- struct{}{}
				}
			}
		})
	}
	go func() {
		work.Wait()
		close(change)
	}()
	count := 0
	for range change {
		count++
		write(t, path, []string{strictAdmin, looseAdmin}[count%2])
		assert.NoError(t, s.Reload())
	}
	assert.Equal(t, 1000, count)
	assert.EqualValues(t, 1000, s.Stats().Reloads)
	assert.Positive(t, sure.Load())
}

// TestConfigMapSwap follows the file as Kubernetes replaces it: a link to a link to a
// directory, which a new one replaces.
func TestConfigMapSwap(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	publish := func(version, text string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, version, "mfa.yaml"), []byte(text), 0o600))
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	publish("..2026_1", strictAdmin)
	path := filepath.Join(dir, "mfa.yaml")
	require.NoError(t, os.Symlink(filepath.Join("..data", "mfa.yaml"), path))
	s := open(t, path, rules.Config{Enforcer: newEnforcer(t), Poll: time.Hour})
	changes := make(chan string, 10)
	s.OnChange(func(_, after *rules.File) { changes <- after.Hash() })

	for i, text := range []string{looseAdmin, strictAdmin, looseAdmin} {
		publish("..2026_"+string(rune('2'+i)), text)
		assert.Equal(t, parse(t, text).Hash(), <-changes)
	}
	assert.EqualValues(t, 3, s.Stats().Reloads)
}

// TestHooksEndAndBeginInACall shows that a function which is called after changes may end
// itself and others and begin new ones, and is not called again then.
func TestHooksEndAndBeginInACall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mfa.yaml")
	write(t, path, looseAdmin)
	s := open(t, path, rules.Config{Enforcer: newEnforcer(t), Poll: time.Hour})
	var called []string
	var stopOnce, stopNext func()
	stopOnce = s.OnChange(func(_, _ *rules.File) {
		called = append(called, "once")
		stopOnce()
		stopNext()
		s.OnChange(func(_, _ *rules.File) { called = append(called, "begun") })
	})
	stopNext = s.OnChange(func(_, _ *rules.File) { called = append(called, "next") })
	s.OnChange(func(_, _ *rules.File) { called = append(called, "last") })
	for _, text := range []string{strictAdmin, looseAdmin} {
		write(t, path, text)
		require.NoError(t, s.Reload())
	}
	assert.Equal(t, []string{"once", "last", "last", "begun"}, called)
}

// TestHalfWrittenFile shows that a file is taken when it has stayed the same for a while:
// the first half of one would open routes.
func TestHalfWrittenFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mfa.yaml")
	write(t, path, looseAdmin)
	log := newLogged()
	s := open(t, path, rules.Config{Enforcer: newEnforcer(t), Poll: time.Hour, Logger: log.logger()})
	changes := make(chan string, 10)
	stop := s.OnChange(func(before, after *rules.File) { changes <- before.Hash() + after.Hash() })
	write(t, path, strictAdmin)
	assert.Equal(t, parse(t, looseAdmin).Hash()+parse(t, strictAdmin).Hash(), <-changes)
	write(t, path, "version: 1\n")
	log.wait("rules_refused", 1)
	assert.True(t, s.Stats().Stale)
	assert.Equal(t, parse(t, strictAdmin).Hash(), s.Revision().Hash)
	stop()
	write(t, path, looseAdmin)
	log.wait("rules_changed", 2)
	assert.Equal(t, parse(t, looseAdmin).Hash(), s.Revision().Hash)
	assert.Empty(t, changes)
	assert.False(t, s.Stats().Stale)
}
