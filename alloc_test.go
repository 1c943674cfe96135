package echomfa_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestEvaluateDoesNotAllocate has the hot path: every request whose facts
// satisfy its policy.
func TestEvaluateDoesNotAllocate(t *testing.T) {
	for name, row := range map[string]struct {
		p        echomfa.Policy
		enrolled echomfa.FactorSet
	}{
		"a constant":     {otp(), echomfa.Factors(echomfa.OTP)},
		"another type":   {anyCustom(echomfa.OTP, "X"), echomfa.Factors("X")},
		"many sets":      {counted(2, []echomfa.FactorType{echomfa.OTP, echomfa.SMS, echomfa.Email, "X", "Y", "Z"}), echomfa.Factors("Y", "Z", "A")},
		"an exemption":   {echomfa.Exempt("public"), echomfa.FactorSet{}},
		"a named policy": {echomfa.AllOf(echomfa.OTP, echomfa.Face).Named("n"), echomfa.Factors(echomfa.OTP, echomfa.Face)},
	} {
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			if !row.p.Evaluate(row.enrolled).Satisfied {
				t.Error("not satisfied")
			}
		}), name)
	}
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(b []byte) (int, error) { return len(b), nil }
func (*discard) WriteHeader(int)             {}

// TestHitDoesNotAllocate shows that a request which is let through from the cache
// costs no more allocations than with a middleware that does nothing: one, for
// Echo wraps the handler anew for each request. It is held to that where the
// race detector is off, as in make cover and make fips.
func TestHitDoesNotAllocate(t *testing.T) {
	e := table(t, func(c *echomfa.Config) { c.UserRefKey = []byte(userRefKey) })
	handler := func(echo.Context) error { return nil }
	measure := func(middleware ...echo.MiddlewareFunc) float64 {
		app := echo.New()
		app.GET("/", handler, middleware...)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		withToken(answertest.Enrolled)(r)
		w := &discard{header: make(http.Header)}
		return testing.AllocsPerRun(200, func() { app.ServeHTTP(w, r) })
	}
	idle := measure(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error { return next(c) }
	})
	guarded := measure(e.Require(otp()))
	assert.Positive(t, e.Stats().Hits)
	if raceDetector {
		idle++ // the digest's scratch comes from a pool
	}
	assert.LessOrEqual(t, guarded, idle)
}
