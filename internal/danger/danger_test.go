package danger_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/danger"
)

// TestSwitch follows what is said, and when, from being switched on to its end.
func TestSwitch(t *testing.T) {
	t.Parallel()
	type word struct {
		after time.Duration
		on    bool
	}
	rows := map[string]struct {
		do   func(*danger.Switch)
		want []word
	}{
		"ends by itself": {
			func(s *danger.Switch) { s.Start(time.Now().Add(150 * time.Second)) },
			[]word{{0, true}, {time.Minute, true}, {2 * time.Minute, true}, {150 * time.Second, false}},
		},
		"is ended": {
			func(s *danger.Switch) {
				s.Start(time.Now().Add(time.Hour))
				time.Sleep(90 * time.Second)
				s.End()
				s.End()
			},
			[]word{{0, true}, {time.Minute, true}, {90 * time.Second, false}},
		},
		"is prolonged": {
			func(s *danger.Switch) {
				s.Start(time.Now().Add(time.Minute))
				time.Sleep(30 * time.Second)
				s.Start(time.Now().Add(time.Minute))
			},
			[]word{{0, true}, {30 * time.Second, true}, {90 * time.Second, false}},
		},
		"has no end": {
			func(s *danger.Switch) {
				s.Start(time.Time{})
				time.Sleep(150 * time.Second)
				s.Close()
				s.Start(time.Time{})
			},
			[]word{{0, true}, {time.Minute, true}, {2 * time.Minute, true}},
		},
		"off is nothing to say": {func(s *danger.Switch) { s.End() }, nil},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var (
					mu   sync.Mutex
					said []word
				)
				began := time.Now()
				var s *danger.Switch
				s = danger.New(func(on bool, _ time.Time) {
					assert.Equal(t, on, s.On())
					mu.Lock()
					defer mu.Unlock()
					said = append(said, word{time.Since(began), on})
				})
				row.do(s)
				time.Sleep(10 * time.Minute)
				s.Close()
				assert.False(t, s.On())
				mu.Lock()
				defer mu.Unlock()
				assert.Equal(t, row.want, said)
			})
		})
	}
}
