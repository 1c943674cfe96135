package enroll

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestLastTold has what the app is told of: a form that was sent twice once, and what was
// added, removed and added again each time, since otherwise the last of them would be
// hidden from the user.
func TestLastTold(t *testing.T) {
	t.Parallel()
	told := &lastTold{last: newLRU[string]()}
	for _, row := range []struct {
		user, change string
		want         bool
	}{
		{"ann", "enrolled a", true},
		{"ann", "enrolled a", false},
		{"bob", "enrolled a", true},
		{"ann", "removed a", true},
		{"ann", "removed a", false},
		{"ann", "enrolled a", true},
		{"ann", "enrolled b", true},
		{"ann", "enrolled a", true},
	} {
		assert.Equal(t, row.want, told.isNew(row.user, row.change), row)
	}
}
