package echomfa

import (
	"bufio"
	"net"
	"net/http"
)

// HandlerConfig configures one mount of the net/http adapter.
type HandlerConfig struct {
	// Policy is what the user must have enrolled. Required, unless PolicyFunc
	// is set.
	Policy Policy
	// PolicyFunc chooses the policy for a request, by role or tenant, instead
	// of Policy. An error, or an invalid policy, is a 500. Optional.
	PolicyFunc func(r *http.Request) (Policy, error)
	// Subject returns the identity that the handler serves. A token whose sub
	// claim differs, or that names nobody, is a 401. Optional.
	Subject func(r *http.Request) (string, error)
	// Mode is Enforce or ReportOnly. Optional. Default Enforce.
	Mode Mode
	// ModeFunc is asked for the mode on every request, instead of Mode.
	// Optional.
	ModeFunc func() Mode
	// Skipper reports whether a request goes by unchecked. Decide by what the
	// application knows for certain, never by headers or unverified claims.
	// Optional.
	Skipper func(r *http.Request) bool
	// ErrorHandler answers refusals, after their headers have been set. If it
	// writes nothing, the default answer is written. Optional.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
}

// Handler returns a middleware for net/http, and for every framework that
// takes one, such as Echo v5 by its WrapMiddleware. Inside of [http.StripPrefix] the
// return-to is the path that the browser asked for, which net/http keeps, unless
// ReturnTo.BaseURL has a path. After any other rewriting it is made of the path that
// the middleware is given. It panics on an invalid configuration, at start-up.
func (e *Enforcer) Handler(cfg HandlerConfig) func(http.Handler) http.Handler {
	g := &guard[*http.Request]{
		enforcer:   e,
		policy:     cfg.Policy,
		policyFunc: cfg.PolicyFunc,
		subject:    cfg.Subject,
		mode:       cfg.Mode,
		modeFunc:   cfg.ModeFunc,
		skipper:    cfg.Skipper,
	}
	if err := g.validate(); err != nil {
		panic(err)
	}
	g.announce()
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var d Decision
			token, err := g.check(r, r, r.Pattern, &d)
			if !d.proceeds() {
				e.refusals.answerHTTP(w, r, err, token, cfg.ErrorHandler)
				return
			}
			if e.cfg.KeepDecision {
				r = r.WithContext(withDecision(r.Context(), d))
			}
			next.ServeHTTP(w, r)
		})
	}
}

// answerHTTP answers a refusal. The token is the request's, as far as it is known.
func (f *refusals) answerHTTP(w http.ResponseWriter, r *http.Request, err error, token string,
	handle func(http.ResponseWriter, *http.Request, error),
) {
	tracked := &writeTracker{ResponseWriter: w, status: situationOf(err).status()}
	defer func() {
		if v := recover(); v != nil {
			_, err := panicked(r.Context(), f.log, "ErrorHandler", v, f.source.secrets(r, token))
			if !tracked.wrote {
				f.write(w, r, err)
			}
		}
	}()
	f.setHeaders(w.Header(), r, err)
	if handle != nil {
		handle(tracked, r, err)
	}
	if !tracked.wrote {
		f.write(tracked, r, err)
	}
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
