package echomfa_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
)

// TestFloodLeavesPlacesInTheQueue shows that made-up tokens cannot take every
// place in the queue: those who are at work still get theirs renewed.
func TestFloodLeavesPlacesInTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		enrollMany(d, 10)
		e := newEnforcer(t, d, nil)
		for i := range 10 {
			assert.Equal(t, echomfa.Fetched, decide(t, e, manyTokens(i), echomfa.AnyOf(echomfa.OTP)).Source)
		}
		pass(time.Minute)

		var flood sync.WaitGroup
		for i := range 3000 {
			flood.Go(func() { decide(t, e, manyTokens(1000+i), echomfa.AnyOf(echomfa.OTP)) })
		}
		synctest.Wait()
		assert.Equal(t, 512, e.Stats().Queued, "half of the places")
		for i := range 10 {
			assert.Equal(t, echomfa.Fetched, decide(t, e, manyTokens(i), echomfa.AnyOf(echomfa.OTP)).Source)
		}
		flood.Wait()
	})
}
