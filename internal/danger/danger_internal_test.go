package danger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestEarlierClockEnds has one clock be past the end, and the other not: after a machine
// was suspended, or its wall clock set back.
func TestEarlierClockEnds(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(s *Switch, by time.Duration){
		"suspended":           func(s *Switch, by time.Duration) { s.wall = s.wall.Add(-by) },
		"wall clock set back": func(s *Switch, by time.Duration) { s.until = s.until.Add(-by) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(func(bool, time.Time) {})
			t.Cleanup(s.Close)
			assert.True(t, s.Start(time.Now().Add(time.Hour)))
			assert.True(t, s.On())
			s.mu.Lock()
			move(s, 2*time.Hour)
			s.mu.Unlock()
			assert.False(t, s.On())
			s.again(s.turn)
			assert.False(t, s.on, "ended, and not only over")
		})
	}
}
