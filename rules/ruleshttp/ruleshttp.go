// Package ruleshttp puts the rules of a file before all patterns of an [http.ServeMux], and
// says what guards each of them.
//
//	set, err := ruleshttp.New(ruleshttp.Config{Rules: rules})
//	...
//	var mux ruleshttp.Mux
//	mux.HandleFunc("GET /admin/{id}", admin)
//	handler := set.Guard(&mux)
//	if err := set.CheckCoverage(&mux); err != nil {
//		log.Fatal(err)
//	}
//
// Rules name a pattern as it was registered, such as "GET /admin/{id}" or
// "api.example.com/admin/{id}". A rule and a handler's own middleware must both let a
// request through, each in its own mode.
//
// Build with the tag echomfa_noechov4 to keep Echo v4 out of the binary.
package ruleshttp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/echomfa/echomfa"

	"github.com/echomfa/echomfa/rules"
)

// Config configures a [Set].
type Config struct {
	// Rules decide. Required.
	Rules *rules.Set
	// Identity returns the user's role and tenant, from a source that the app has
	// verified, for rules with a when. Optional, if no file has such a rule: without it a
	// file that has one is refused, also when it is read again.
	Identity func(r *http.Request) (rules.Identity, error)
	// Token, Subject and ErrorHandler are those of [echomfa.HandlerConfig]. Optional.
	Token        func(r *http.Request) (string, error)
	Subject      func(r *http.Request) (string, error)
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
	// Service, Version and Revision name the app in its coverage. Optional. Default: as the
	// Go tool has recorded them in the binary.
	Service, Version, Revision string
}

// Set guards muxes by rules, and says what guards their patterns. Make one with [New] or
// [WithoutRules]. All methods may be called concurrently. The zero Set refuses every
// request.
type Set struct {
	cfg   Config
	guard func(http.Handler) http.Handler // nil without rules
	made  bool

	mu      sync.Mutex
	guarded map[*Mux]bool
}

// Router chooses the handler of a request by patterns: an [*http.ServeMux], or a [*Mux].
type Router interface {
	http.Handler
	// Handler returns the handler of a request, and the pattern by which it was chosen.
	Handler(r *http.Request) (h http.Handler, pattern string)
}

// New returns a Set, or all that is wrong with the configuration.
func New(cfg Config) (*Set, error) {
	if cfg.Rules == nil {
		return nil, errors.New("ruleshttp: Rules: required; for the coverage of an app without rules use WithoutRules")
	}
	guard, err := cfg.Rules.Enforcer().NewMiddleware(echomfa.HandlerConfig{
		RequireFunc: func(r *http.Request) (echomfa.Requirement, error) {
			return rules.Requirement(cfg.Rules, r, r.Method, routeOf(r.Pattern), cfg.Identity)
		},
		Token: cfg.Token, Subject: cfg.Subject, ErrorHandler: cfg.ErrorHandler,
	})
	if err != nil {
		return nil, err
	}
	s := &Set{cfg: cfg, guard: guard, made: true}
	if cfg.Identity == nil {
		if err := cfg.Rules.Hold(s, func(o *rules.CheckOptions) { o.NoIdentity = true }); err != nil {
			return nil, fmt.Errorf("ruleshttp: Identity: required for these rules:\n%w", err)
		}
	}
	return s, nil
}

// WithoutRules returns a Set for an app that has no rules, and guards its handlers by the
// middleware: it says which are not guarded, and guards none itself. Only the fields that
// name the app are read.
func WithoutRules(cfg Config) *Set {
	return &Set{cfg: Config{Service: cfg.Service, Version: cfg.Version, Revision: cfg.Revision}, made: true}
}

// Guard returns a handler that holds requests against the rule of the pattern by which
// the mux chooses their handler, and passes them on to the mux. It asks the mux twice.
func (s *Set) Guard(mux Router) http.Handler {
	if m, ok := mux.(*Mux); ok { // the coverage is asked of no other
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.guarded == nil {
			s.guarded = make(map[*Mux]bool)
		}
		s.guarded[m] = true
	}
	switch {
	case !s.made:
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		})
	case s.guard == nil:
		return mux
	}
	guarded := s.guard(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, r.Pattern = mux.Handler(r) // the mux sets it again, to the same
		guarded.ServeHTTP(w, r)
	})
}

// routeOf returns the route of a pattern as rules name it.
func routeOf(pattern string) string {
	_, host, path := parts(pattern)
	if lower := strings.ToLower(host); lower != host {
		return lower + path
	}
	return pattern[len(pattern)-len(host)-len(path):]
}

// parts takes a pattern apart.
func parts(pattern string) (method, host, path string) {
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		method, pattern = pattern[:i], strings.TrimLeft(pattern[i+1:], " \t")
	}
	slash := max(strings.IndexByte(pattern, '/'), 0)
	return method, pattern[:slash], pattern[slash:]
}
