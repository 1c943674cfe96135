package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// thousand is a file with 1,000 rules.
func thousand(tb testing.TB) *rules.File {
	tb.Helper()
	var b strings.Builder
	b.WriteString(head + "rules:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  - name: r%d\n    require: OTP or FACE\n    routes: [\"POST /api/v1/things%d/:id\"]\n    under: [\"/admin%d\"]\n", i, i, i)
	}
	return parse(tb, b.String())
}

// TestMatchingDoesNotAllocate shows that a request finds its rule without an allocation
// among 1,000 rules, once its route has been met.
func TestMatchingDoesNotAllocate(t *testing.T) { //nolint:paralleltest // allocations are those of the process
	s, err := rules.New(thousand(t), rules.Config{Enforcer: newEnforcer(t)})
	require.NoError(t, err)
	for _, route := range []string{"", "/api/v1/things500/:id", "/admin999/users/:id", "/nowhere"} {
		_ = requires(t, s, "POST", route)
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			if _, err := rules.Requirement(s, 0, "POST", route, nil); err != nil {
				t.Error(err)
			}
		}), route)
	}
}

// TestManyRoutes shows that routes which a router makes of what clients send are decided
// about as others are, and are not remembered without end.
func TestManyRoutes(t *testing.T) {
	t.Parallel()
	f := thousand(t)
	for i := range 20_000 {
		assert.Equal(t, "r7", f.Match("GET", fmt.Sprintf("/admin7/%d", i)).Weakest(exemptUntil()).Name())
	}
	assert.Equal(t, "r7", f.Match("GET", "/admin7/"+strings.Repeat("x", 10_000)).Weakest(exemptUntil()).Name())
	assert.Equal(t, "r8", f.Match("GET", "/admin8").Weakest(exemptUntil()).Name())
}

func BenchmarkRequirement(b *testing.B) {
	s, err := rules.New(thousand(b), rules.Config{Enforcer: newEnforcer(b)})
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rules.Requirement(s, 0, "POST", "/api/v1/things500/:id", nil); err != nil {
			b.Fatal(err)
		}
	}
}
