package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
)

const (
	changing = 4                // instances
	patience = 30 * time.Second // for a change to count, half of FreshFor
)

// site is a fleet on loopback, with a front that sends requests to its instances in
// turn.
type site struct {
	fleet   fleet
	front   string
	urls    []string // of the instances
	browser *http.Client
	answers [changing]atomic.Int64
	servers []*http.Server
}

func newSite(ctx context.Context, f fleet) (s *site, err error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	s = &site{fleet: f, browser: &http.Client{Transport: transport, Timeout: patience}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	var targets []*url.URL
	for n, i := range f {
		mux := http.NewServeMux()
		mux.Handle("GET /admin", i.guarded)
		addr, err := s.serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.answers[n].Add(1)
			mux.ServeHTTP(w, r)
		}))
		if err != nil {
			return nil, err
		}
		targets = append(targets, &url.URL{Scheme: "http", Host: addr})
		s.urls = append(s.urls, "http://"+addr)
	}
	var turn atomic.Uint64
	addr, err := s.serve(ctx, &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(targets[(turn.Add(1)-1)%uint64(len(targets))])
		},
	})
	s.front = "http://" + addr
	return s, err
}

// serve serves on a free port of loopback.
func (s *site) serve(ctx context.Context, handler http.Handler) (addr string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: patience}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), nil
}

func (s *site) close() {
	for _, server := range slices.Backward(s.servers) { // the front first
		_ = server.Close()
	}
	s.browser.CloseIdleConnections()
}

// get asks for the page and returns the status.
func (s *site) get(ctx context.Context, base, token string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/admin", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := s.browser.Do(r)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, errors.Join(err, response.Body.Close())
}

// until asks all instances at once, again and again, until each has given a status,
// and returns how long that took.
func (s *site) until(ctx context.Context, token string, want int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	begin := time.Now()
	errs := make([]error, len(s.urls))
	var wg sync.WaitGroup
	for n, base := range s.urls {
		wg.Go(func() {
			for {
				got, err := s.get(ctx, base, token)
				if err != nil {
					errs[n] = fmt.Errorf("instance %d does not answer %d: %w", n, want, err)
					return
				}
				if got == want {
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(begin), errors.Join(errs...)
}

// change changes a user's factors, invalidates the token on one instance, and
// returns how long it took until all instances gave a status.
func (s *site) change(ctx context.Context, token string, on *instance, apply func(), want int) (time.Duration, error) {
	begin := time.Now()
	apply()
	// An error says that others may not know: Redis did not answer in time.
	for err := on.mfa.Invalidate(ctx, token); err != nil; err = on.mfa.Invalidate(ctx, token) {
		if ctx.Err() != nil || time.Since(begin) > patience {
			return 0, err
		}
	}
	_, err := s.until(ctx, token, want)
	return time.Since(begin), err
}

// measureChanges measures how soon a change of a user's factors takes effect on all
// instances, at the default FreshFor and DenyFreshFor.
func measureChanges(ctx context.Context, shared *redis, rounds int, out io.Writer) (err error) {
	f, err := newAlone(shared, unlimited()) //nolint:contextcheck // close ends it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	f.genauth.AddUser(genauthtest.User{ID: "probe", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	if err := f.ready(ctx, f.genauth, "probe"); err != nil {
		return err
	}
	s, err := newSite(ctx, f.fleet)
	if err != nil {
		return err
	}
	defer s.close()
	_, _ = fmt.Fprintf(out, `
Changes: %d instances at %s, FreshFor 60 s, DenyFreshFor 2 s, over sockets.
Before each change all instances have answered; it is invalidated on one of them.

`, changing, s.front)
	var enrolled, removed []time.Duration
	for n := range rounds {
		user := f.genauth.AddUser(genauthtest.User{}).ID
		token, on := f.genauth.AccessToken(user), f.fleet[n%changing]
		for range changing { // in turn, so each of them
			if got, err := s.get(ctx, s.front, token); err != nil || got != http.StatusForbidden {
				return errors.Join(err, fmt.Errorf("a user without the factor got %d", got))
			}
		}
		took, err := s.change(ctx, token, on, func() { f.genauth.Enroll(user, genauthtest.OTP) }, http.StatusOK)
		if err != nil {
			return err
		}
		enrolled = append(enrolled, took)
		took, err = s.change(ctx, token, on, func() { f.genauth.Reset(user, genauthtest.OTP) }, http.StatusForbidden)
		if err != nil {
			return err
		}
		removed = append(removed, took)
	}
	_, _ = fmt.Fprintf(out, "from enrolling to being let in on all %d:            %s\n", changing, summary(enrolled))
	_, _ = fmt.Fprintf(out, "from removing the factor to being refused on all %d: %s\n", changing, summary(removed))
	_, _ = fmt.Fprint(out, "requests answered by each instance:")
	for n := range s.answers {
		_, _ = fmt.Fprintf(out, " %d", s.answers[n].Load())
	}
	_, _ = fmt.Fprintln(out)
	return nil
}

func summary(all []time.Duration) string {
	slices.Sort(all)
	return fmt.Sprintf("median %v, at most %v, of %d",
		all[len(all)/2].Round(100*time.Microsecond), all[len(all)-1].Round(100*time.Microsecond), len(all))
}
