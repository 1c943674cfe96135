package enroll

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestMemoryKeepsTheFirst has what is remembered stay until its time is over, however often
// another one comes.
func TestMemoryKeepsTheFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory[string]()
		for _, row := range []struct {
			value, want string
			isNew       bool
		}{{"a", "a", true}, {"b", "a", false}, {"c", "c", true}, {"d", "c", false}} {
			kept, isNew := m.getOrSet("ann", row.value, time.Minute)
			assert.Equal(t, row.want, kept)
			assert.Equal(t, row.isNew, isNew)
			time.Sleep(30 * time.Second)
		}
		kept, _ := m.getOrSet("bob", "e", time.Minute)
		assert.Equal(t, "e", kept)
	})
}
