package genauthtest_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

// TestFaults has each fault and what a client sees of it.
func TestFaults(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		change func(*genauthtest.Answer)
		status int
		body   string // contained
		header string // "Name: value"
		broken bool   // the body ends before its announced end
	}{
		"status alone":         {change: genauthtest.HTTPStatus(500, ""), status: 500, body: `"statusCode":200`},
		"status and body":      {change: genauthtest.HTTPStatus(502, "bad gateway"), status: 502, body: "bad gateway"},
		"rate limited":         {change: genauthtest.RateLimited("7"), status: 429, body: `"statusCode":429`, header: "Retry-After: 7"},
		"rate limited, no say": {change: genauthtest.RateLimited(""), status: 429, header: "Retry-After: "},
		"HTML":                 {change: genauthtest.HTML(), status: 200, body: "<title>", header: "Content-Type: text/html; charset=utf-8"},
		"truncated":            {change: genauthtest.Truncate(5), status: 200, body: `{"sta`, header: "Content-Length: 5"},
		"truncated to nothing": {change: genauthtest.Truncate(-9999), status: 200, header: "Content-Length: 0"},
		"truncated too far":    {change: genauthtest.Truncate(9999), status: 200, body: `"statusCode":200`},
		"cut":                  {change: genauthtest.Cut(-1), broken: true},
		"padded":               {change: genauthtest.Pad(3), status: 200, body: `   {"statusCode":200`},
		"redirected":           {change: genauthtest.Redirect(307, "https://example.com/"), status: 307, header: "Location: https://example.com/"},
		"envelope":             {change: genauthtest.Envelope(403, 2020), status: 200, body: `"statusCode":403,"apiCode":2020`},
		"data":                 {change: genauthtest.Data("null"), status: 200, body: `"data":null`},
		"no data":              {change: genauthtest.Data(""), status: 200, body: `"Operation successful"}`},
		"duplicate":            {change: genauthtest.Duplicate("data", "[]"), status: 200, body: `"data":[],"data":[]}`},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{})
			s.SetFault(genauthtest.Fault{Change: row.change, Times: 1})
			assert.Equal(t, 200, alice.get(toEnrollPath).StatusCode, "only the one endpoint")
			r, err := alice.try(t.Context(), http.MethodGet, genauthtest.ListEnrolledFactorsPath, "", "")
			if row.broken {
				require.Error(t, err)
			} else {
				require.NoError(t, err)
				assert.Equal(t, row.status, r.HTTPStatus)
				assert.Contains(t, r.Body, row.body)
				key, value, _ := strings.Cut(row.header, ": ")
				assert.Equal(t, value, r.Header.Get(key))
			}
			assert.Equal(t, 200, alice.list().StatusCode, "once only")
		})
	}
}

// TestFaultsInTurn shows that the first fault that is left counts, and that "*"
// is for every endpoint.
func TestFaultsInTurn(t *testing.T) {
	t.Parallel()
	s, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{})
	s.SetFault(
		genauthtest.Fault{Times: 1, Change: genauthtest.HTTPStatus(501, "")},
		genauthtest.Fault{Times: 2, Path: "*", Change: genauthtest.HTTPStatus(502, "")},
		genauthtest.Fault{Change: genauthtest.HTTPStatus(503, "")},
	)
	var got []int
	for range 4 {
		got = append(got, alice.list().HTTPStatus)
	}
	assert.Equal(t, []int{501, 502, 502, 503}, got)
	assert.Equal(t, 200, alice.get(toEnrollPath).HTTPStatus)
	s.ClearFaults()
	assert.Equal(t, 200, alice.list().HTTPStatus)
}

// TestSlowFaults shows a late answer, one that drips, and that neither outlives
// a client that leaves.
func TestSlowFaults(t *testing.T) {
	t.Parallel()
	s, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{})
	begin := time.Now()
	s.SetFault(genauthtest.Fault{Delay: 20 * time.Millisecond})
	assert.Equal(t, 200, alice.list().StatusCode)
	assert.GreaterOrEqual(t, time.Since(begin), 20*time.Millisecond)

	begin = time.Now()
	s.SetFault(genauthtest.Fault{Change: genauthtest.Data("[]"), Drip: time.Microsecond})
	r := alice.list()
	assert.Equal(t, 200, r.StatusCode)
	assert.Equal(t, strconv.Itoa(len(r.Body)), r.Header.Get("Content-Length"))
	assert.GreaterOrEqual(t, time.Since(begin), time.Duration(len(r.Body))*time.Microsecond)

	for _, fault := range []genauthtest.Fault{{Delay: time.Hour}, {Drip: time.Hour}} {
		s.SetFault(fault)
		calls := s.ListCalls()
		ctx, leave := context.WithCancel(t.Context())
		call := inFlight(t, ctx, alice)
		require.NoError(t, s.WaitCalls(t.Context(), calls+1))
		leave()
		_, err := call()
		require.ErrorIs(t, err, context.Canceled)
	}
}

// TestDroppedConnection shows that there is no answer at all.
func TestDroppedConnection(t *testing.T) {
	t.Parallel()
	s, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{})
	s.SetFault(genauthtest.Fault{Drop: true})
	_, err := alice.try(t.Context(), http.MethodGet, genauthtest.ListEnrolledFactorsPath, "", "")
	require.Error(t, err)
}
