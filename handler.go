package echomfa

import (
	"bufio"
	"net"
	"net/http"
)

// HandlerConfig configures one mount of the net/http middleware.
type HandlerConfig struct {
	// Policy is what the user must have enrolled. Required, unless RequireFunc
	// is set.
	Policy Policy
	// Mode is Enforce or ReportOnly. Optional. Default Enforce.
	Mode Mode
	// RequireFunc returns what a request needs, by role or tenant, instead of
	// Policy and Mode. Errors are answered as [GuardConfig] says. Optional.
	RequireFunc func(r *http.Request) (Requirement, error)
	// Token returns the access token instead of the Enforcer's TokenLookup or
	// Token. "" or an error matching ErrUnauthenticated is a 401, a [*TokenError] is
	// answered as it says, every other error is a 500. For this mount only: the enrollment pages,
	// InvalidateRequest and Enforcer.Token do not see it; with package enroll set
	// [Config.Token]. Optional.
	Token func(r *http.Request) (string, error)
	// Subject returns the identity that the handler works for. A token whose sub
	// claim differs, or that names nobody, is a 401. Optional.
	Subject func(r *http.Request) (string, error)
	// Skipper reports whether a request goes by unchecked. Decide by what the
	// application knows for certain, never by headers or unverified claims.
	// Optional.
	Skipper func(r *http.Request) bool
	// ErrorHandler answers refusals, after their headers have been set. If it
	// writes nothing, the default answer is written. Optional.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
}

// Middleware returns a middleware for net/http, and for every framework that takes
// one, such as chi. Inside of [http.StripPrefix] the return-to is the path that the
// browser asked for, which net/http keeps, unless ReturnTo.BaseURL has a path. After
// any other rewriting it is made of the path that the middleware is given. The route in
// logs and of the Observer is the request's Pattern: it is empty where the middleware is
// around the ServeMux, and where a router that does not set it chose the route; use
// [NewGuard] there. It panics on an invalid configuration, at start-up.
func (e *Enforcer) Middleware(cfg HandlerConfig) func(http.Handler) http.Handler {
	mw, err := e.NewMiddleware(cfg)
	if err != nil {
		panic(err)
	}
	return mw
}

// NewMiddleware is [Enforcer.Middleware] that returns all that is wrong with the
// configuration, and does not panic.
func (e *Enforcer) NewMiddleware(cfg HandlerConfig) (func(http.Handler) http.Handler, error) {
	g, err := NewGuard(GuardConfig[*http.Request]{
		Enforcer: e, Policy: cfg.Policy, Mode: cfg.Mode, RequireFunc: cfg.RequireFunc,
		Token: cfg.Token, Subject: cfg.Subject, Skipper: cfg.Skipper,
	})
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return &guardedHandler{guard: g, errorHandler: cfg.ErrorHandler, next: next}
	}, nil
}

// guardedHandler is a handler behind one mount of the net/http middleware.
type guardedHandler struct {
	guard        *Guard[*http.Request]
	errorHandler func(w http.ResponseWriter, r *http.Request, err error)
	next         http.Handler
}

func (h *guardedHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var d Decision
	if err := h.guard.checkInto(r, r, r.Pattern, &d); err != nil {
		refuseHTTP(h.guard, w, r, err, h.errorHandler)
		return
	}
	h.next.ServeHTTP(w, h.guard.WithDecision(r, &d))
}

// Mount is what a mount of the middleware asks for, as far as that is known without a
// request: for lists of which route is guarded by what.
type Mount struct {
	// Policy is what the user must have enrolled. It is the zero Policy if PerRequest.
	Policy Policy
	// Mode is Enforce or ReportOnly. It says nothing if PerRequest.
	Mode Mode
	// PerRequest says that a RequireFunc returns the policy and the mode.
	PerRequest bool
	// Skips reports whether requests of a registered route go by unchecked. It is nil if
	// there is no Skipper. Known is false if that is for a Skipper of the application
	// to say, which is not asked.
	Skips func(route string) (skips, known bool)
}

// Mount returns what the guard asks for.
func (g *Guard[C]) Mount() Mount {
	m := Mount{Policy: g.cfg.Policy, Mode: g.cfg.Mode, PerRequest: g.cfg.RequireFunc != nil}
	if g.cfg.Skipper != nil {
		m.Skips = func(string) (skips, known bool) { return false, false }
	}
	return m
}

// DescribeHandler returns what a handler asks for that the net/http middleware has
// returned. It reports false for every other handler, also for one that calls ours.
func DescribeHandler(h http.Handler) (Mount, bool) {
	guarded, ok := h.(*guardedHandler)
	if !ok {
		return Mount{}, false
	}
	return guarded.guard.Mount(), true
}

// describedError is what a middleware without a next handler returns.
type describedError struct{ mount Mount }

func (*describedError) Error() string { return "echomfa: there is no handler behind the middleware" }

// refuseHTTP answers a refusal.
func refuseHTTP(g *Guard[*http.Request], w http.ResponseWriter, r *http.Request, err error, handler func(http.ResponseWriter, *http.Request, error)) {
	tracked := &writeTracker{ResponseWriter: w, status: Status(err)}
	var handle func(error) error
	if handler != nil {
		handle = func(refusal error) error {
			handler(tracked, r, refusal)
			return nil
		}
	}
	_ = g.RefuseBy(tracked, r, err, func() bool { return tracked.wrote }, handle)
}

// writeTracker knows whether an answer has been written. Nothing written would
// become a 200.
type writeTracker struct {
	http.ResponseWriter
	status int // of the refusal
	wrote  bool
}

func (t *writeTracker) WriteHeader(status int) {
	t.wrote = t.wrote || status >= http.StatusOK || status == http.StatusSwitchingProtocols
	t.ResponseWriter.WriteHeader(status)
}

func (t *writeTracker) Write(b []byte) (int, error) {
	t.wrote = true
	return t.ResponseWriter.Write(b)
}

// FlushError sends what there is. A header that nobody has written is the
// refusal's: it would become a 200.
func (t *writeTracker) FlushError() error {
	if !t.wrote {
		t.WriteHeader(t.status)
	}
	return http.NewResponseController(t.ResponseWriter).Flush()
}

// Hijack gives the connection away, and with it the answer.
func (t *writeTracker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	t.wrote = true
	return http.NewResponseController(t.ResponseWriter).Hijack()
}

// Unwrap lets http.ResponseController reach the writer below.
func (t *writeTracker) Unwrap() http.ResponseWriter { return t.ResponseWriter }
