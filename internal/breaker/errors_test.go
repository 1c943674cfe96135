package breaker_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/breaker"
	"github.com/echomfa/echomfa/internal/retryafter"
)

// TestWait shows what GenAuth must say to be left alone: that there were too
// many questions, or when to come back.
func TestWait(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err    error
		want   time.Duration
		pauses bool
	}{
		"429":                  {&client.APIError{HTTPStatus: http.StatusTooManyRequests}, time.Second, true},
		"429 with Retry-After": {&client.APIError{HTTPStatus: http.StatusTooManyRequests, RetryAfter: time.Minute}, time.Minute, true},
		"an hour":              {&client.APIError{HTTPStatus: http.StatusTooManyRequests, RetryAfter: time.Hour}, time.Minute, true},
		"503":                  {&client.APIError{HTTPStatus: http.StatusServiceUnavailable}, 0, false},
		"503 with Retry-After": {&client.APIError{HTTPStatus: http.StatusServiceUnavailable, RetryAfter: 3 * time.Second}, 3 * time.Second, true},
		"401 with Retry-After": {&client.APIError{HTTPStatus: http.StatusUnauthorized, RetryAfter: time.Minute}, 0, false},
		"a limit of a lister":  {client.ErrRateLimited, time.Second, true},
		"no connection":        {client.ErrUnavailable, 0, false},
		"an answer":            {nil, 0, false},
	} {
		got, pauses := breaker.Wait(row.err)
		assert.Equal(t, row.pauses, pauses, name)
		if pauses {
			assert.Equal(t, row.want, got, name)
		}
	}
}

// TestX18TooLong has what servers say of a token that is too long for them. Whatever
// it is, it is no misconfiguration; and a 400 for a short token stays one.
func TestX18TooLong(t *testing.T) {
	t.Parallel()
	goAway := func(code string) error {
		return &client.TransportError{Err: fmt.Errorf("http2: server sent GOAWAY and closed the connection; LastStreamID=0, ErrCode=%s, debug=%q", code, "ErrCode=NO_ERROR")}
	}
	said := func(text string) error { return &client.TransportError{Err: errors.New(text)} }
	status := func(n int) error { return fmt.Errorf("lister: %w", &client.APIError{HTTPStatus: n}) }
	const short, long = 3 << 10, 3<<10 + 1
	for name, row := range map[string]struct {
		err    error
		length int
		want   bool
	}{
		"400":                   {status(400), long, true},
		"400 for a short token": {status(400), short, false},
		"413":                   {status(413), short, true},
		"414":                   {status(414), short, true},
		"431":                   {status(431), short, true},
		"400 by GenAuth":        {&client.APIError{HTTPStatus: 400, APICode: 2020}, long, false},
		"400 that refuses":      {errors.Join(client.ErrUnauthenticated, status(400)), long, false},
		"401":                   {status(401), long, false},
		"403":                   {status(403), long, false},
		"500":                   {status(500), long, false},
		"GOAWAY":                {goAway("ENHANCE_YOUR_CALM"), long, true},
		"GOAWAY, short token":   {goAway("ENHANCE_YOUR_CALM"), short, false},
		"GOAWAY, first stream":  {said("http2: Transport received GOAWAY from server ErrCode:PROTOCOL_ERROR"), long, true},
		"a server that ends":    {goAway("NO_ERROR"), long, false},
		"the same, first":       {said("http2: Transport received GOAWAY from server ErrCode:NO_ERROR"), long, false},
		"the same, not taken":   {said("http2: Transport received Server's graceful shutdown GOAWAY"), long, false},
		"an announced limit":    {&client.TransportError{Err: errors.New("http2: request header list larger than peer's advertised limit")}, short, true},
		"another failure":       {errors.New("reset"), long, false},
		"no failure":            {nil, long, false},
	} {
		err := breaker.TooLong(row.err, strings.Repeat("x", row.length))
		var tooLong *breaker.TooLongError
		if is := errors.As(err, &tooLong); !assert.Equal(t, row.want, is, name) || !is {
			assert.Equal(t, row.err, err, name)
			continue
		}
		assert.Equal(t, row.length, tooLong.Length, name)
		assert.ErrorIs(t, err, client.ErrUnavailable, name)
		assert.NotErrorIs(t, err, client.ErrMisconfigured, name)
		assert.Contains(t, err.Error(), row.err.Error(), name)
		assert.False(t, breaker.Retryable(err), name)
	}
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  error
		want bool
	}{
		"502":                  {&client.APIError{HTTPStatus: 502}, true},
		"503":                  {&client.APIError{HTTPStatus: 503}, true},
		"503 with Retry-After": {&client.APIError{HTTPStatus: 503, RetryAfter: time.Second}, false},
		"504":                  {&client.APIError{HTTPStatus: 504}, true},
		"500":                  {&client.APIError{HTTPStatus: 500}, false},
		"another error":        {errors.New("odd"), false},
		"nothing":              {nil, false},
	} {
		assert.Equal(t, row.want, breaker.Retryable(row.err), name)
	}
}

func TestHeldErrorTellsTheRest(t *testing.T) {
	t.Parallel()
	for rest, want := range map[time.Duration]time.Duration{
		time.Millisecond: time.Second, 7 * time.Second: 7 * time.Second, time.Hour: time.Minute,
	} {
		err := fmt.Errorf("held: %w", &breaker.HeldError{Rest: rest})
		assert.Equal(t, want, retryafter.Of(err))
		assert.Contains(t, err.Error(), "not asked about it")
	}
	assert.ErrorContains(t, &breaker.HeldError{User: true}, "of this user fail")
	assert.ErrorContains(t, &breaker.HeldError{User: true, Busy: true}, "too many lookups of this user")
}
