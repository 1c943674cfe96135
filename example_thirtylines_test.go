package echomfa_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// The thirty lines of docs/faq.md that somebody would write instead of using this
// library. TestThirtyLinesOfYourOwn shows what breaks.

type known struct {
	hasOTP bool
	until  time.Time
}

type homemade struct {
	host, appID string
	client      *http.Client
	mu          sync.Mutex
	cache       map[string]known
}

func (m *homemade) requireOTP(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		token := c.Request().Header.Get("Authorization")
		m.mu.Lock()
		user, found := m.cache[token]
		m.mu.Unlock()
		if !found || time.Now().After(user.until) {
			req, err := http.NewRequestWithContext(c.Request().Context(), http.MethodGet, m.host+"/api/v3/list-enrolled-factors", nil)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", token)
			req.Header.Set("x-authing-app-id", m.appID)
			res, err := m.client.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close() //nolint:errcheck // what was read is read
			var answer struct {
				Data []struct{ FactorType string }
			}
			if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
				return err
			}
			user.hasOTP = slices.ContainsFunc(answer.Data, func(f struct{ FactorType string }) bool { return f.FactorType == "OTP" })
			user.until = time.Now().Add(time.Minute)
			m.mu.Lock()
			m.cache[token] = user
			m.mu.Unlock()
		}
		if !user.hasOTP {
			return echo.NewHTTPError(http.StatusForbidden, "set up an authenticator app")
		}
		return next(c)
	}
}
