// Package sendonce tells the client that a call's token must be sent once. Over HTTP/1 the
// transport of net/http sends a GET again, on another connection, if the one that it was on ends before
// there is an answer. What ends connections may be the token: then anybody who makes one up
// has them ended one after the other, with all calls of other users that are on them.
package sendonce

import "context"

type key struct{}

// With returns a context for a call whose token is sent once.
func With(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// In reports whether the token of a call with this context is sent once.
func In(ctx context.Context) bool {
	once, _ := ctx.Value(key{}).(bool)
	return once
}
