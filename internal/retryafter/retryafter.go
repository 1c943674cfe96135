// Package retryafter holds the one limit of what a Retry-After of GenAuth is
// worth here. Everybody who is told to wait because of it, and the pause of the
// lookups themselves, go by it, so nobody is told to wait longer than the
// lookups rest.
package retryafter

import (
	"errors"
	"time"

	"github.com/echomfa/echomfa/client"
)

const (
	// Least is the shortest wait: a Retry-After cannot say less than a second,
	// and "0" would mean a second try at once.
	Least = time.Second
	// Most is the longest wait. A Retry-After of an hour from a gateway would
	// otherwise lock every user out for that hour.
	Most = time.Minute
)

// Bound returns d within the limits.
func Bound(d time.Duration) time.Duration { return min(max(d, Least), Most) }

// Of returns how long to wait after err: what GenAuth asked for, or what is left of it,
// within the limits, or Least if it asked for nothing.
func Of(err error) time.Duration {
	var (
		api  *client.APIError
		here interface{ RetryIn() time.Duration }
	)
	switch {
	case errors.As(err, &here):
		return Bound(here.RetryIn())
	case errors.As(err, &api):
		return Bound(api.RetryAfter)
	}
	return Least
}
