package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/echomfa/echomfa/client"
)

const (
	withOTP    = "with-otp-"
	withoutOTP = "without-otp-"
	// upstreamMark is in every answer of the rigs' GenAuth and in none of ours.
	upstreamMark = "said-by-genauth"
)

func tokenWith(name string) string    { return withOTP + name }
func tokenWithout(name string) string { return withoutOTP + name }

// envelope is a good answer of GenAuth about a user's factors.
func envelope(types ...string) string {
	rows := make([]string, 0, len(types))
	for i, typ := range types {
		rows = append(rows, fmt.Sprintf(`{"factorId":"65a1b2c3d4e5f607182939%02d","factorType":%q,"profile":{}}`, i, typ))
	}
	return `{"statusCode":200,"message":"` + upstreamMark + `","requestId":"934108e5-9fbf-4d24-8da1-c330328abd6c","data":[` +
		strings.Join(rows, ",") + `]}`
}

// truth is what the rigs' GenAuth answers if nothing is wrong: the token says
// what its user has enrolled.
func truth(r *http.Request) string {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	known := r.Header.Get("X-Authing-App-Id") == faultAppID
	switch {
	case bearer && known && strings.HasPrefix(token, withOTP):
		return envelope("EMAIL", "OTP")
	case bearer && known && strings.HasPrefix(token, withoutOTP):
		return envelope("EMAIL")
	}
	return `{"statusCode":401,"apiCode":2020,"message":"` + upstreamMark + `"}`
}

// truthOf is truth for rigs without a socket.
func truthOf(token string) []client.Factor {
	switch {
	case strings.HasPrefix(token, withOTP):
		return listing(client.Email, client.OTP)
	case strings.HasPrefix(token, withoutOTP):
		return listing(client.Email)
	}
	return nil
}

func tellTruth(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = io.WriteString(w, truth(r))
}

// spoil has GenAuth answer by a status, a body and headers ("Name: value" in
// pairs). An empty body is the true one.
func spoil(status int, body string, header ...string) func(*rig) {
	return func(r *rig) {
		r.front.answer(func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			text := body
			if text == "" {
				text = truth(req)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		})
	}
}

// code is an answer that says what happened in its body.
func code(statusCode, apiCode int) string {
	return fmt.Sprintf(`{"statusCode":%d,"apiCode":%d,"message":%q,"data":[{"factorId":"1","factorType":"OTP"}]}`,
		statusCode, apiCode, upstreamMark)
}

// gauge notes the requests that GenAuth serves: how many at once, and when.
type gauge struct {
	mu       sync.Mutex
	inFlight int
	peak     int
	starts   []time.Time
}

// enter notes a request until the function that it returns is called.
func (g *gauge) enter() (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight++
	g.peak = max(g.peak, g.inFlight)
	g.starts = append(g.starts, time.Now())
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.inFlight--
	}
}

func (g *gauge) most() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peak
}

// mostInASecond returns how many began in the busiest second.
func (g *gauge) mostInASecond() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	most, from := 0, 0
	for i, at := range g.starts {
		for at.Sub(g.starts[from]) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}
