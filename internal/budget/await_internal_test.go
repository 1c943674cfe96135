package budget

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAwaitSaysWhyItEnds has all the ends of waiting for a slot.
func TestAwaitSaysWhyItEnds(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		leaves bool // the caller, before
		before func(b *Budget, waits, first *Ticket)
		want   error
		after  time.Duration
	}{
		"nobody leaves":       {false, func(*Budget, *Ticket, *Ticket) {}, ErrQueueWait, time.Second},
		"the caller leaves":   {true, func(*Budget, *Ticket, *Ticket) {}, ErrQueueWait, 0},
		"lookups pause":       {false, func(b *Budget, _, _ *Ticket) { b.Pause(time.Now().Add(time.Minute)) }, ErrPaused, time.Second},
		"the end":             {false, func(b *Budget, _, _ *Ticket) { b.Close() }, ErrClosed, time.Second},
		"its turn":            {false, func(b *Budget, _, first *Ticket) { b.Leave(first) }, nil, 0},
		"its turn, and late":  {true, func(b *Budget, _, first *Ticket) { b.Leave(first) }, nil, 0},
		"it has left already": {true, func(b *Budget, waits, _ *Ticket) { b.Leave(waits) }, ErrQueueWait, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if row.leaves {
					cancel()
				}
				b := New(1, 1000, time.Second)
				first, err := b.Enter(Renewal, time.Now())
				require.NoError(t, err)
				waits, err := b.Enter(Renewal, time.Now())
				require.NoError(t, err)
				row.before(b, waits, first)
				begin := time.Now()
				require.ErrorIs(t, b.Await(ctx, waits), row.want)
				assert.Equal(t, row.after, time.Since(begin))
				b.Leave(waits)
				_, queued, _ := b.Figures()
				assert.Zero(t, queued)
				b.Close()
			})
		})
	}
}
