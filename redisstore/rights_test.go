package redisstore_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// TestR10EachRightIsNeeded takes the rights of README.md away, one at a time, and sees
// that something does not work, and that it says so. On one server, and while nothing
// goes wrong, a few are not used.
func TestR10EachRightIsNeeded(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	rights := rightsOf(t)
	for _, spare := range []string{"+role", "+asking", "+discard", "+ping", "+hello", "+cluster|slots", "+cluster|shards"} {
		require.Contains(t, rights, spare)
		rights = slices.DeleteFunc(rights, func(right string) bool { return right == spare })
	}
	for i, without := range rights {
		t.Run(without, func(t *testing.T) {
			t.Parallel()
			user := "app" + string(rune('a'+i))
			words := append([]string{"ACL", "SETUSER", user, "reset", "on", ">word", "~*:v2:*"}, rightsOf(t)...)
			command(t, rawClient(t, server.Addr), append(words, "-"+without[1:])...)
			o := patient(server.Addr)
			o.Username, o.Password = user, "word"
			s := newStore(t, redisstore.Config{Redis: o, Prefix: user})
			facts := newFacts()
			_, _, v, err := s.Get(t.Context(), facts.Key, facts.User)
			failed := err != nil
			if err == nil {
				failed = s.Set(t.Context(), facts, v, time.Minute) != nil
			}
			for range 2 {
				failed = s.Delete(t.Context(), facts.Key, facts.User) != nil || failed
			}
			_, err = s.Take(t.Context(), newKey(), 1, time.Minute)
			failed = err != nil || failed
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_ = s.Watch(ctx, func(event echomfa.StoreEvent) {
				failed = failed || event.Kind == echomfa.Deaf
				cancel()
			})
			assert.True(t, failed)
		})
	}
}
