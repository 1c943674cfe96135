package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/redisstore"
)

// instance is one process of the app, but for the process.
type instance struct {
	genauth *client.Client
	store   *redisstore.Store // or nil
	mfa     *echomfa.Enforcer
	guarded http.Handler // one page, for who has OTP
}

// fleet is several instances of one app.
type fleet []*instance

// unlimited is for what measures how often GenAuth is asked, not how it is spared.
func unlimited() echomfa.LookupConfig {
	return echomfa.LookupConfig{MaxPerSecond: 1e6, MaxConcurrent: 4096, Timeout: patience}
}

// newFleet makes instances that share a Redis, or, without one, nothing.
func newFleet(n int, genauth *genauthtest.Server, shared *redis, freshFor time.Duration, lookup echomfa.LookupConfig) (f fleet, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	secret := make([]byte, 32) // all instances have the same
	_, _ = rand.Read(secret)
	prefix := "fleet-" + rand.Text() // and nothing is left of an earlier run
	for range n {
		i := &instance{}
		f = append(f, i)
		if i.genauth, err = client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience}); err != nil {
			return f, err
		}
		cache := echomfa.CacheConfig{FreshFor: freshFor}
		if shared != nil {
			i.store, err = redisstore.New(redisstore.Config{Redis: shared.option, Secrets: [][]byte{secret}, Prefix: prefix})
			if err != nil {
				return f, err
			}
			cache.Store = i.store
		}
		i.mfa, err = echomfa.New(echomfa.Config{
			Client: i.genauth,
			Cache:  cache,
			Lookup: lookup,
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return f, err
		}
		guard := i.mfa.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.OTP)})
		i.guarded = guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "Hello, admin\n")
		}))
	}
	return f, nil
}

// alone is a fleet of several instances with a GenAuth of its own, where FreshFor is as by
// default.
type alone struct {
	fleet

	genauth *genauthtest.Server
}

func newAlone(shared *redis, lookup echomfa.LookupConfig) (a alone, err error) {
	if a.genauth, err = genauthtest.New(genauthtest.Config{}); err != nil {
		return a, err
	}
	if a.fleet, err = newFleet(changing, a.genauth, shared, time.Minute, lookup); err != nil {
		a.genauth.Close()
	}
	return a, err
}

func (a alone) close() error {
	defer a.genauth.Close()
	return a.fleet.close()
}

func (f fleet) close() error {
	var errs []error
	for _, i := range f {
		if i.mfa != nil {
			errs = append(errs, i.mfa.Close())
		}
		if i.store != nil {
			errs = append(errs, i.store.Close())
		}
		if i.genauth != nil {
			i.genauth.CloseIdleConnections()
		}
	}
	return errors.Join(errs...)
}

// ready waits until each instance finds in the store what the first one has asked.
func (f fleet) ready(ctx context.Context, genauth *genauthtest.Server, user string) error {
	if f[0].store == nil {
		return nil
	}
	for _, i := range f[1:] {
		for i.mfa.Stats().Store.Hits == 0 {
			token := genauth.Mint(genauthtest.Token{UserID: user, Opaque: true})
			f[0].ask(ctx, token)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(50 * time.Millisecond): // it is kept after it was answered
			}
			i.ask(ctx, token)
		}
	}
	return nil
}

// ask asks for the page and returns the status.
func (i *instance) ask(ctx context.Context, token string) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/admin", nil)
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w := &status{header: make(http.Header)}
	i.guarded.ServeHTTP(w, r)
	return cmp.Or(w.code, http.StatusOK)
}

// status is an http.ResponseWriter that only the status is wanted of.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header         { return s.header }
func (s *status) Write(b []byte) (int, error) { return len(b), nil }
func (s *status) WriteHeader(code int)        { s.code = cmp.Or(s.code, code) }
