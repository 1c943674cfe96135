package genauthtest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Fault spoils answers of one endpoint. Its fields work together: an answer is
// computed, changed, delayed, and then dropped or sent.
type Fault struct {
	// Path is the endpoint's. Default [ListEnrolledFactorsPath]; "*" is every
	// one.
	Path string
	// Times is how many requests it spoils. Zero: all of them.
	Times int
	// Change changes the answer, such as [HTTPStatus] or [HTML] do. It may be
	// called concurrently.
	Change func(*Answer)
	// Delay passes between the computing of the answer and its sending. It is
	// cut short, and the connection closed, when the client goes away or the
	// server stops.
	Delay time.Duration
	// Drop closes the connection instead of answering. (Go's client repeats a
	// GET by itself if the connection had been used before. [Server.Stop]
	// makes connections be refused.)
	Drop bool
	// Drip passes after each byte of the body.
	Drip time.Duration
}

// SetFault replaces all faults. Of several, a request meets the first that is
// for its path and has Times left.
func (s *Server) SetFault(faults ...Fault) {
	list := slices.Clone(faults)
	for i := range list {
		if list[i].Path == "" {
			list[i].Path = ListEnrolledFactorsPath
		}
		if list[i].Times == 0 {
			list[i].Times = -1
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = list
}

// ClearFaults removes all faults. Delays under way go on.
func (s *Server) ClearFaults() { s.SetFault() }

// takeFault returns the fault that a request meets; the zero Fault changes nothing.
func (s *Server) takeFault(path string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.faults {
		f := &s.faults[i]
		if f.Times == 0 || f.Path != "*" && f.Path != path {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return *f
	}
	return Fault{}
}

// HTTPStatus sends an HTTP status and a body. An empty body keeps the one of
// the answer, so HTTPStatus(500, "") is a failure with a good body.
func HTTPStatus(status int, body string) func(*Answer) {
	return func(a *Answer) {
		a.Status = status
		if body != "" {
			a.Body = []byte(body)
		}
	}
}

// RateLimited sends GenAuth's HTTP 429 with a Retry-After, in seconds or as a
// date; an empty one is left out, which is all that GenAuth documents.
func RateLimited(retryAfter string) func(*Answer) {
	return func(a *Answer) {
		*a = fail(http.StatusTooManyRequests, 0, "Your requests exceed the limit, please try again later.")
		a.Status = http.StatusTooManyRequests
		if retryAfter != "" {
			a.Header.Set("Retry-After", retryAfter)
		}
	}
}

// HTML sends a page with an HTTP 200, as captive portals do.
func HTML() func(*Answer) {
	return func(a *Answer) {
		a.Header.Set("Content-Type", "text/html; charset=utf-8")
		a.Body = []byte("<!doctype html><title>Welcome</title><p>Please accept our terms.")
	}
}

// Truncate sends only the first n bytes of the body, as if that were all of
// it. A negative n counts from the end.
func Truncate(n int) func(*Answer) {
	return func(a *Answer) { a.Body = cut(a.Body, n) }
}

// Cut announces the whole body, sends the first n bytes of it, and closes the
// connection. A negative n counts from the end.
func Cut(n int) func(*Answer) {
	return func(a *Answer) {
		a.Header.Set("Content-Length", strconv.Itoa(len(a.Body)))
		a.Body = cut(a.Body, n)
	}
}

func cut(body []byte, n int) []byte {
	if n < 0 {
		n += len(body)
	}
	return body[:min(max(n, 0), len(body))]
}

// Pad sends n spaces ahead of the body, which stays good JSON.
func Pad(n int64) func(*Answer) {
	return func(a *Answer) { a.Padding = n }
}

// Redirect sends to another URL, with a status such as 302 or 307.
func Redirect(status int, url string) func(*Answer) {
	return func(a *Answer) {
		a.Status = status
		a.Header.Set("Location", url)
		a.Body = nil
	}
}

// Envelope sends a failure in an HTTP 200. An apiCode of 0 is left out.
func Envelope(statusCode, apiCode int) func(*Answer) {
	return func(a *Answer) { *a = fail(statusCode, apiCode, "The request failed.") }
}

// Data replaces the answer's data member by JSON text, such as `null`, `"x"`
// or `{}`; an empty text leaves the member out.
func Data(text string) func(*Answer) {
	return func(a *Answer) {
		frame := struct {
			StatusCode int             `json:"statusCode"`
			Message    string          `json:"message"`
			Data       json.RawMessage `json:"data,omitempty"`
		}{StatusCode: http.StatusOK, Message: "Operation successful"}
		if text != "" {
			frame.Data = json.RawMessage(text)
		}
		a.Body = encode(frame)
	}
}

// Duplicate adds a member to the envelope a second time, such as
// Duplicate("data", "[]").
func Duplicate(name, text string) func(*Answer) {
	return func(a *Answer) {
		body := bytes.TrimSuffix(a.Body, []byte("}"))
		a.Body = slices.Concat(body, []byte(","+strconv.Quote(name)+":"+text+"}"))
	}
}
