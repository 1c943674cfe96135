package bounded_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/bounded"
)

// TestCall has the ways in which a call ends.
func TestCall(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, row := range map[string]struct {
		f       func(context.Context) (int, error)
		want    int
		err     error
		waits   time.Duration
		panics  bool
		without bool // a result
	}{
		"returns":       {f: func(context.Context) (int, error) { return 7, nil }, want: 7},
		"fails":         {f: func(context.Context) (int, error) { return 7, broken }, want: 7, err: broken},
		"panics":        {f: func(context.Context) (int, error) { panic("no") }, panics: true},
		"ends":          {f: func(context.Context) (int, error) { runtime.Goexit(); return 7, nil }, without: true},
		"hangs":         {f: func(context.Context) (int, error) { time.Sleep(time.Hour); return 7, nil }, err: context.DeadlineExceeded, waits: time.Second},
		"heeds its end": {f: func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, err: context.DeadlineExceeded, waits: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls bounded.Calls
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begun := time.Now()
				got, err := bounded.Call(ctx, &calls, row.f)
				assert.Equal(t, row.want, got)
				assert.Equal(t, row.waits, time.Since(begun))
				var panicked *bounded.PanicError
				switch {
				case row.panics:
					require.ErrorAs(t, err, &panicked)
					assert.Equal(t, "no", panicked.Value)
					assert.Contains(t, string(panicked.Stack), "bounded_test.go")
					assert.EqualError(t, err, "panic: no")
				case row.without:
					assert.ErrorContains(t, err, "without a result")
				default:
					assert.ErrorIs(t, err, row.err)
				}
				<-calls.Over()
			})
		})
	}
}

// TestOver shows that nothing begins after Over, and that its channel is closed when
// the last call has ended, and not before.
func TestOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls bounded.Calls
		release := make(chan struct{})
		require.NoError(t, calls.Go(func() { <-release }))
		over := calls.Over()
		require.ErrorIs(t, calls.Go(func() {}), bounded.ErrOver)
		select {
		case <-over:
			t.Error("a call is under way")
		default:
		}
		close(release)
		<-over
		<-calls.Over()
	})
}

// TestMax shows that calls which do not return use up their places and no more.
func TestMax(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls bounded.Calls
		release := make(chan struct{})
		for range bounded.Max {
			require.NoError(t, calls.Go(func() { <-release }))
		}
		_, err := bounded.Call(t.Context(), &calls, func(context.Context) (int, error) { return 7, nil })
		require.ErrorIs(t, err, bounded.ErrTooMany)
		close(release)
		synctest.Wait()
		got, err := bounded.Call(t.Context(), &calls, func(context.Context) (int, error) { return 7, nil })
		require.NoError(t, err)
		assert.Equal(t, 7, got)
		<-calls.Over()
	})
}
