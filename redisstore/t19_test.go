package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/redisstore"
)

// TestT19CancelsDoNotMixUpAnswers: many ask over the same connections, and many
// of them give up at any time. Nobody gets another's facts.
func TestT19CancelsDoNotMixUpAnswers(t *testing.T) {
	t.Parallel()
	const users, workers, rounds = 100, 32, 300
	server := redistest.New(t)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	all := make([]echomfa.StoredFacts, users)
	for i := range all {
		all[i] = newFacts(echomfa.FactorType(fmt.Sprint("USER-", i)))
		keep(t, s, all[i])
	}
	var hits, canceled, wrong atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range rounds {
				want := all[rand.IntN(users)]
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(2) == 0 {
					time.AfterFunc(time.Duration(rand.IntN(2000))*time.Microsecond, cancel)
				}
				got, found, _, err := s.Get(ctx, want.Key, want.User)
				cancel()
				switch {
				case errors.Is(err, context.Canceled):
					canceled.Add(1)
				case err != nil || !found || got.Types[0] != want.Types[0]:
					wrong.Add(1)
				default:
					hits.Add(1)
				}
			}
		})
	}
	wg.Wait()
	assert.Zero(t, wrong.Load())
	assert.Positive(t, hits.Load())
	assert.Positive(t, canceled.Load())
	assert.Zero(t, s.Stats().Rejected)
}
