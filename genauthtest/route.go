package genauthtest

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// ListEnrolledFactorsPath is the path of the endpoint that most tests are
// about: the default of [Fault.Path], and the one that [Server.Hold] holds.
const ListEnrolledFactorsPath = "/api/v3/list-enrolled-factors"

// maxRequest is how much of a request's body is read.
const maxRequest = 1 << 20

// Answer is what the emulator sends back: what a [Fault] can change.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Padding is how many spaces are sent ahead of Body.
	Padding int64
}

// routes is the table of endpoints.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, endpoint := range map[string]func(*http.Request) Answer{
		"GET " + ListEnrolledFactorsPath:             s.listEnrolledFactors,
		"GET /api/v3/list-factors-to-enroll":         s.listFactorsToEnroll,
		"GET /api/v3/get-factor":                     s.getFactor,
		"POST /api/v3/send-enroll-factor-request":    s.sendEnrollFactorRequest,
		"POST /api/v3/enroll-factor":                 s.enrollFactor,
		"POST /api/v3/reset-factor":                  s.resetFactor,
		"POST /api/v3/mfa-totp-verify":               s.verifyTOTP,
		"POST /api/v3/signin":                        s.signIn,
		"GET /api/v3/get-profile":                    s.profile,
		"POST /api/v3/check-app-id-secret":           s.checkAppIDSecret,
		"POST /mfa/token/introspection":              s.introspectMFAToken,
		"GET /oidc/.well-known/openid-configuration": s.discovery,
		"GET /oidc/.well-known/jwks.json":            s.jwks,
		"GET /{app}/oidc/.well-known/jwks.json":      s.jwks,
		"GET /oidc/auth":                             s.authorize,
		"POST /oidc/auth":                            s.authorize,
		"GET /oidc/session/end":                      s.endSession,
		"POST /oidc/token":                           s.token,
		"GET /oidc/me":                               s.userInfo,
		"POST /oidc/me":                              s.userInfo,
		"POST /oidc/token/introspection":             s.introspect,
		"POST /oidc/token/revocation":                s.revoke,
		"/":                                          notFound,
	} {
		mux.Handle(pattern, s.endpoint(endpoint))
	}
	return mux
}

func notFound(*http.Request) Answer {
	a := fail(http.StatusNotFound, 0, "no such endpoint in this emulator")
	a.Status = http.StatusNotFound
	return a
}

// endpoint is the way of every request: observed, held, computed, spoiled by a
// fault, held again, sent. The answer is computed before the waits, so that a
// test can change the facts while an older answer is on its way.
func (s *Server) endpoint(compute func(*http.Request) Answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer s.observe(r)()
		ctx, list := r.Context(), r.URL.Path == ListEnrolledFactorsPath
		if list {
			s.waitHolds(ctx, s.holdsBefore)
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		answer := compute(r)
		fault := s.takeFault(r.URL.Path)
		if fault.Change != nil {
			fault.Change(&answer)
		}
		if list {
			s.waitHolds(ctx, s.holdsAfter)
		}
		if fault.Delay > 0 {
			wait(ctx, fault.Delay)
		}
		if fault.Drop {
			panic(http.ErrAbortHandler)
		}
		send(ctx, w, answer, fault.Drip)
	}
}

// wait waits for d, and drops the connection if the client or the server goes
// away first.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

// send writes an answer, with drip between the bytes of its body.
func send(ctx context.Context, w http.ResponseWriter, a Answer, drip time.Duration) {
	maps.Copy(w.Header(), a.Header)
	if w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", strconv.FormatInt(a.Padding+int64(len(a.Body)), 10))
	}
	w.WriteHeader(a.Status)
	if _, err := io.CopyN(w, spaces{}, a.Padding); err != nil {
		return
	}
	if drip <= 0 {
		_, _ = w.Write(a.Body)
		return
	}
	flush := http.NewResponseController(w)
	for i := range a.Body {
		if _, err := w.Write(a.Body[i : i+1]); err != nil {
			return
		}
		if err := flush.Flush(); err != nil {
			return
		}
		wait(ctx, drip)
	}
}

// spaces is an endless body.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
