package integration_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/stretchr/testify/assert"
)

// caller is one who asks: a user, with a browser or a program. Each has a token
// of its own.
type caller struct {
	browser bool
	has     bool // the user has enrolled OTP
	token   string
}

func (c caller) String() string {
	kind := "program"
	if c.browser {
		kind = "browser"
	}
	return kind + " of " + c.token
}

// callers is the table of clients: a browser and a program, each of a user who
// has the factor and of one who has not.
func callers() []caller {
	return []caller{
		{browser: true, has: true, token: tokenWith("browser")},
		{browser: true, has: false, token: tokenWithout("browser")},
		{browser: false, has: true, token: tokenWith("program")},
		{browser: false, has: false, token: tokenWithout("program")},
	}
}

// reply is what a caller got.
type reply struct {
	caller
	status int
	header http.Header
	body   string
}

// ask sends a caller's request for the page.
func (r *rig) ask(c caller) reply { return r.send(http.MethodGet, r.app.URL+"/admin?page=1", c) }

// send sends a request with further headers (name, value).
func (r *rig) send(method, url string, c caller, header ...string) reply {
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, nil)
	if !assert.NoError(r.t, err) {
		return reply{caller: c}
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Accept", "application/json")
	if c.browser {
		req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		req.Header.Set("Sec-Fetch-Mode", "navigate")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.browser.Do(req)
	if !assert.NoError(r.t, err) {
		return reply{caller: c}
	}
	body, err := io.ReadAll(res.Body)
	assert.NoError(r.t, err)
	assert.NoError(r.t, res.Body.Close())
	return reply{caller: c, status: res.StatusCode, header: res.Header, body: string(body)}
}

// local is ask without a socket between the caller and the service, for loads
// whose cost would be the caller's own.
func (r *rig) local(ctx context.Context, c caller) reply {
	w := httptest.NewRecorder()
	r.echo.ServeHTTP(w, newRequest(ctx, c))
	return reply{caller: c, status: w.Code, header: w.Header(), body: w.Body.String()}
}

func newRequest(ctx context.Context, c caller) *http.Request {
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, "/admin?page=1", nil)
	req.Header.Set("Authorization", "Bearer "+c.token)
	if c.browser {
		req.Header.Set("Sec-Fetch-Mode", "navigate")
	}
	return req
}

// askAll sends the requests of all callers at once.
func (r *rig) askAll(all []caller) []reply {
	replies := make([]reply, len(all))
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() { replies[i] = r.ask(c) })
	}
	wg.Wait()
	return replies
}
