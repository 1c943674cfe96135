package breaker

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/retryafter"
)

// HeldError is the error of a lookup that is not made because its token is held, or its
// user is.
type HeldError struct {
	Rest time.Duration
	// User is whether it is the user, and Busy whether that is for the number of
	// lookups under way.
	User, Busy bool
}

// Error says so.
func (e *HeldError) Error() string {
	switch {
	case e.Busy:
		return "echomfa: too many lookups of this user are under way"
	case e.User:
		return "echomfa: lookups of this user fail, and others do not: GenAuth is not asked about any of the user's tokens for a while"
	}
	return "echomfa: lookups of this token fail, and others do not: GenAuth is not asked about it for a while"
}

// RetryIn returns for how long the token is held.
func (e *HeldError) RetryIn() time.Duration { return e.Rest }

// LongToken is the length above which a failure that may be due to it is taken to be, and
// above which the client makes a connection for each call.
const LongToken = 3 << 10

// TooLongError is the error of a lookup whose token is too long for something on the
// way to GenAuth. It is about that token, and not about the configuration, whatever the
// status was. It matches [client.ErrUnavailable], and nothing that its cause matches.
type TooLongError struct {
	Length int // of the token
	cause  string
}

// Error includes the cause.
func (e *TooLongError) Error() string {
	return fmt.Sprintf("echomfa: a token of %d bytes is too long on the way to GenAuth: %s", e.Length, e.cause)
}

// Is reports whether target is [client.ErrUnavailable].
func (e *TooLongError) Is(target error) bool { return target == client.ErrUnavailable }

// TooLong returns a lookup's error, as a [*TooLongError] if it is about the length of the
// token. Servers say so by 413, 414 or 431; nginx says 400, and over HTTP/2 it sends a
// GOAWAY, of which net/http tells in words only, as of a limit that the server has
// announced and that keeps the request from being sent. A GOAWAY with NO_ERROR is a server
// that ends, and about nothing that was sent. It returns nil for nil, and what
// GenAuth itself has said, such as that it refuses the token, as it is.
func TooLong(err error, token string) error {
	var api *client.APIError
	if err == nil || errors.Is(err, client.ErrUnauthenticated) || errors.As(err, &api) && api.APICode != 0 {
		return err
	}
	long := len(token) > LongToken
	said := err.Error()
	is := long && goneAway(said) || strings.Contains(said, "request header list larger than peer's advertised limit")
	if api != nil {
		switch api.HTTPStatus {
		case http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
			is = true
		case http.StatusBadRequest:
			is = long
		}
	}
	if !is {
		return err
	}
	return &TooLongError{Length: len(token), cause: said}
}

// goneAway reports whether a text is one of net/http's for a GOAWAY that blames the client:
// "http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=..." or
// "http2: Transport received GOAWAY from server ErrCode:...".
func goneAway(said string) bool {
	_, code, _ := strings.Cut(said, "ErrCode")
	return strings.Contains(said, "GOAWAY") && !strings.HasPrefix(strings.TrimLeft(code, "=:"), "NO_ERROR") &&
		!strings.Contains(said, "graceful shutdown")
}

// Retryable reports whether a second try may help: the connection broke before
// there was an answer, or a gateway answered in GenAuth's place. A Retry-After
// is an order to wait longer than a request can.
func Retryable(err error) bool {
	var api *client.APIError
	if errors.As(err, &api) {
		switch api.HTTPStatus {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return api.RetryAfter == 0
		}
		return false
	}
	var transport interface{ Retryable() bool }
	return errors.As(err, &transport) && transport.Retryable()
}

// Wait returns for how long GenAuth asked not to be asked, if it did. A Retry-After
// with a 401 does not count.
func Wait(err error) (time.Duration, bool) {
	var api *client.APIError
	limited := errors.Is(err, client.ErrRateLimited)
	if errors.As(err, &api) && api.RetryAfter > 0 && (limited || errors.Is(err, client.ErrUnavailable)) {
		return retryafter.Of(err), true
	}
	return retryafter.Least, limited
}
