package ruleshttp

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/echomfa/echomfa"

	"github.com/echomfa/echomfa/rules"
)

// Mux is an [http.ServeMux] that knows its patterns, for the coverage: a ServeMux does not
// tell them. The zero Mux is empty and ready to use. It must not be copied.
type Mux struct {
	mux http.ServeMux

	mu       sync.Mutex
	patterns []rules.Registered
}

// Handle registers a handler as [http.ServeMux.Handle] does.
func (m *Mux) Handle(pattern string, handler http.Handler) {
	m.mux.Handle(pattern, handler)
	method, host, path := parts(pattern)
	r := rules.Registered{Method: method, Host: host, Path: path}
	if mount, ours := echomfa.DescribeHandler(handler); ours {
		r.Mounts = []echomfa.Mount{mount}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.patterns = append(m.patterns, r)
}

// HandleFunc registers a function as [http.ServeMux.HandleFunc] does.
func (m *Mux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(handler))
}

// Handler returns what [http.ServeMux.Handler] returns.
func (m *Mux) Handler(r *http.Request) (h http.Handler, pattern string) { return m.mux.Handler(r) }

// ServeHTTP passes a request on to the handler of its pattern. No rule is asked: that is
// what [Set.Guard] does.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// hosts returns the hosts of the patterns, and "" for those without.
func (m *Mux) hosts() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	hosts := []string{""}
	for i := range m.patterns {
		hosts = append(hosts, m.patterns[i].Host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// CheckCoverage returns all that keeps a mux from being guarded on every pattern, at once:
// an [*rules.UnguardedError] with the patterns that nothing guards, what [Set.Coverage]
// returns as an error, and an enrollment or sign-in page that is guarded itself. From then
// on a changed file that guards such a page is refused. Call it
// in a test, and after the last pattern has been registered. It runs no handler.
func (s *Set) CheckCoverage(m *Mux) error {
	coverage, err := s.Coverage(m)
	return errors.Join(err, coverage.Err(), s.checkPages(m, &coverage))
}

// Coverage says what guards the patterns of a mux. The error says that Guard was not called
// for it.
func (s *Set) Coverage(m *Mux) (rules.Coverage, error) {
	s.mu.Lock()
	guarded := s.guarded[m]
	s.mu.Unlock()
	var err error
	if !guarded {
		err = errors.New("ruleshttp: not installed: call Guard for the mux, and use the handler that it returns")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var file *rules.File
	if s.guard != nil {
		file = s.cfg.Rules.File()
	}
	return rules.Cover(file, rules.App{
		Service: s.cfg.Service, Version: s.cfg.Version, Revision: s.cfg.Revision, Framework: "net/http",
		Routes: slices.Clone(m.patterns), Unseen: unseen(),
	}), err
}

// unseen is what has no pattern in the mux, or more than one.
func unseen() []string {
	return []string{
		"what handlers around the mux answer themselves",
		"whether the server uses the handler that Guard returns",
		"the patterns of a handler that is a mux itself: each needs its own Guard",
		"a method or a host that a handler between Guard and the mux changes",
	}
}

// checkPages returns an error for each page that users without a factor must reach and
// that is not open, and has the rules know the app. Which route leads to a page, the mux says.
func (s *Set) checkPages(m *Mux, coverage *rules.Coverage) error {
	if s.guard == nil {
		return nil
	}
	var pages []rules.PageRoute
	for _, page := range s.cfg.Rules.Pages() {
		for _, of := range m.hosts() {
			_, pattern := m.Handler(&http.Request{Method: http.MethodGet, Host: of, URL: &url.URL{Path: page}})
			_, host, path := parts(pattern)
			if of == "" || host == of && path == page { // another pattern of a host is none for the page
				pages = append(pages, rules.PageRoute{Page: page, Host: host, Path: path})
			}
		}
	}
	return s.cfg.Rules.CheckApp(m, coverage, pages)
}
