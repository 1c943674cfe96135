package rules

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/fsnotify/fsnotify"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// followed is a set that follows a file in a bubble, by the notifications of a test.
type followed struct {
	*Set

	path   string
	events chan fsnotify.Event
	errors chan error
}

func follow(t *testing.T, text string) *followed {
	t.Helper()
	e, err := echomfa.New(echomfa.Config{
		Client:    echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) { return nil, nil }),
		Namespace: "rules", InsecureAnyAudience: true,
	})
	require.NoError(t, err)
	f := &followed{path: filepath.Join(t.TempDir(), "mfa.yaml"), events: make(chan fsnotify.Event), errors: make(chan error)}
	f.write(t, text)
	f.Set = &Set{cfg: Config{Enforcer: e, Poll: defaultPoll, Logger: slog.New(slog.DiscardHandler)}, path: f.path}
	require.NoError(t, f.Reload())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.follow(ctx, f.events, f.errors)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		assert.NoError(t, e.Close())
	})
	return f
}

func (f *followed) write(t *testing.T, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(f.path, []byte(text), 0o600))
}

const (
	one   = "version: 1\ndefault: {require: OTP}\n"
	two   = "version: 1\ndefault: {require: FACE}\n"
	three = "version: 1\ndefault: {require: PASSKEY}\n"
)

// TestFollow shows when a changed file is taken: when it has been the same for 100 ms, after
// a notification or when it is looked at anyway.
func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, one)
		now := func() string { return f.File().Default().Policy().String() }

		f.write(t, two)
		f.events <- fsnotify.Event{}
		f.events <- fsnotify.Event{}
		time.Sleep(2*settle - 1)
		synctest.Wait()
		assert.Equal(t, "OTP", now())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, "FACE", now())

		f.write(t, three)
		time.Sleep(defaultPoll + settle)
		synctest.Wait()
		assert.Equal(t, "PASSKEY", now(), "without a notification")

		f.write(t, one)
		f.events <- fsnotify.Event{}
		time.Sleep(settle)
		synctest.Wait()
		f.write(t, two)
		time.Sleep(settle)
		synctest.Wait()
		assert.Equal(t, "PASSKEY", now(), "it has changed meanwhile")
		time.Sleep(settle)
		synctest.Wait()
		assert.Equal(t, "FACE", now())
		assert.EqualValues(t, 3, f.Stats().Reloads)

		close(f.events)
		close(f.errors)
		f.write(t, one)
		time.Sleep(defaultPoll + settle)
		synctest.Wait()
		assert.Equal(t, "OTP", now(), "where notifications have ended")
	})
}

// TestExemptionEnds shows that a route is guarded from the second in which its exemption
// ends, without a reload, and that the log says so once.
func TestExemptionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// The clock of a bubble begins at the beginning of 2000.
		f := follow(t, one+`rules:
  - name: export
    exempt: {reason: a, owner: b, expires: 2000-01-01}
    routes: ["POST /export"]
  - name: batch
    public: c
    under: ["/export"]
`)
		outcome := func() string {
			required, err := Requirement(f.Set, 0, "POST", "/export", nil)
			require.NoError(t, err)
			return required.Rule + ": " + required.Policy.String()
		}
		assert.Equal(t, Stats{
			Hash: f.File().ShortHash(), Rules: 3, Read: f.Revision().Read, NextExpiry: time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC),
		}, f.Stats())
		time.Sleep(24*time.Hour - 1)
		assert.Equal(t, `export: exempt "a"`, outcome())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, "default: OTP", outcome(), "the public rule does not open it")
		assert.Equal(t, 1, f.Stats().Expired)
		time.Sleep(defaultPoll)
		synctest.Wait()
		f.mu.Lock()
		assert.Len(t, f.expired, 1)
		f.mu.Unlock()
		require.NoError(t, f.Reload(), "an expired exemption is no reason to refuse a file")
	})
}

// TestOnUnavailable shows what the key makes of the Enforcer, and when.
func TestOnUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const until = "on_unavailable: {insecure_allow_until: 2000-01-01T12:00:00Z}\n"
		f := follow(t, one)
		allows := func() bool { return f.cfg.Enforcer.Stats().InsecureAllow }
		reload := func(text string) {
			f.write(t, text)
			require.NoError(t, f.Reload())
		}
		assert.False(t, allows())
		reload(one + until)
		assert.True(t, allows())
		time.Sleep(12*time.Hour - 1)
		assert.True(t, allows())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.False(t, allows(), "it ends by itself")
		reload(one + until + "# read again after its end\n")
		assert.False(t, allows())

		later := "on_unavailable: {insecure_allow_until: 2000-01-02T11:00:00Z}\n"
		for _, end := range []string{two, two + "on_unavailable: refuse\n"} {
			reload(one + later)
			assert.True(t, allows())
			reload(end)
			assert.False(t, allows())
		}

		reload(one + later)
		require.NoError(t, f.cfg.Enforcer.SetOnUnavailable(echomfa.Refuse, 0))
		reload(two + later)
		assert.False(t, allows(), "an operator has closed it by hand")
		require.NoError(t, f.cfg.Enforcer.SetOnUnavailable(echomfa.InsecureAllow, time.Hour))
		reload(one)
		assert.False(t, allows(), "the file had the key")
		require.NoError(t, f.cfg.Enforcer.SetOnUnavailable(echomfa.InsecureAllow, time.Hour))
		reload(two)
		assert.True(t, allows(), "it had not: it is the operator's")

		f.write(t, one+"on_unavailable: {insecure_allow_until: 2000-01-02T12:00:01Z}\n")
		require.ErrorContains(t, f.Reload(), "mfa.yaml:3:1: insecure_allow_until is more than 24h0m0s ahead")
	})
}
