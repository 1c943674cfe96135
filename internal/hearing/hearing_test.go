package hearing_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/hearing"
)

func pass(d time.Duration) { <-time.After(d); synctest.Wait() }

// play gives an Ear, and what it says.
func play(t *testing.T, do func(t *testing.T, e *hearing.Ear, said func() []string)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var all []string
		e := hearing.New(func(deaf bool, cause error) {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, fmt.Sprint(deaf, " ", cause))
		})
		do(t, e, func() []string {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		e.Listen(ended, nil, nil)
	})
}

func TestDeafForASecond(t *testing.T) {
	play(t, func(t *testing.T, e *hearing.Ear, said func() []string) {
		t.Helper()
		assert.False(t, e.Hears(), "nothing has been heard")
		assert.False(t, e.Deaf(), "and nothing is known to be wrong")
		assert.True(t, e.Heard(), "the first round")
		assert.True(t, e.Hears())
		for range 10 {
			pass(900 * time.Millisecond)
			assert.False(t, e.Heard())
		}
		assert.Empty(t, said())
		e.Failed(errors.New("no way"))
		pass(time.Second)
		assert.True(t, e.Hears())
		pass(1)
		assert.False(t, e.Hears())
		assert.True(t, e.Deaf())
		pass(time.Hour)
		assert.Equal(t, []string{"true no way"}, said())
		assert.True(t, e.Heard())
		assert.True(t, e.Hears())
		assert.False(t, e.Deaf())
		assert.Equal(t, []string{"true no way", "false <nil>"}, said())
		pass(time.Hour)
		assert.Equal(t, "true the store has said nothing", said()[2])
	})
}

func TestDeafFromTheStart(t *testing.T) {
	play(t, func(t *testing.T, e *hearing.Ear, said func() []string) {
		t.Helper()
		assert.True(t, e.Unheard(time.Hour), "it has never been heard")
		pass(time.Second + 1)
		assert.True(t, e.Deaf())
		assert.Len(t, said(), 1)
		e.Heard()
		pass(2 * time.Second)
		assert.False(t, e.Unheard(2*time.Second))
		assert.True(t, e.Unheard(2*time.Second-1))
	})
}

func TestListenAgain(t *testing.T) {
	play(t, func(t *testing.T, e *hearing.Ear, _ func() []string) {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		var calls, missed atomic.Int64
		go e.Listen(ctx, func(ctx context.Context) error {
			n := calls.Add(1)
			if n == 3 {
				e.Heard()
			}
			if n == 5 {
				<-ctx.Done()
			}
			return errors.New("ended")
		}, func() { missed.Add(1) })
		synctest.Wait()
		assert.EqualValues(t, 1, calls.Load())
		pass(time.Second)
		assert.EqualValues(t, 2, calls.Load())
		pass(2 * time.Second)
		assert.EqualValues(t, 3, calls.Load())
		assert.False(t, e.Hears(), "the watch that has heard is over")
		assert.Zero(t, missed.Load())
		pass(time.Second)
		assert.EqualValues(t, 4, calls.Load(), "the pause is short again")
		assert.EqualValues(t, 1, missed.Load())
		pass(2 * time.Second)
		assert.EqualValues(t, 5, calls.Load())
		assert.EqualValues(t, 1, missed.Load(), "nothing was heard since")
		cancel()
		synctest.Wait()
		assert.False(t, e.Heard(), "it has ended")
	})
}
