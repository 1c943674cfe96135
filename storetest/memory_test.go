package storetest_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/storetest"
)

// memories returns one Memory for each test.
func memories() func(t *testing.T) *storetest.Memory {
	var all sync.Map
	return func(t *testing.T) *storetest.Memory {
		t.Helper()
		m, _ := all.LoadOrStore(t.Name(), storetest.NewMemory())
		memory, ok := m.(*storetest.Memory)
		require.True(t, ok)
		return memory
	}
}

func TestMemoryConforms(t *testing.T) {
	t.Parallel()
	of := memories()
	storetest.Run(t, func(t *testing.T) echomfa.Store { t.Helper(); return of(t) }, faultsOf(of))
}

func faultsOf(of func(t *testing.T) *storetest.Memory) storetest.Faults {
	return storetest.Faults{
		Lose: func(t *testing.T) { t.Helper(); of(t).Lose() },
		Back: func(t *testing.T) func() { t.Helper(); return of(t).Back() },
		Trim: func(t *testing.T) { t.Helper(); of(t).Trim() },
		Silence: func(t *testing.T) func() {
			t.Helper()
			m := of(t)
			m.Fail(errors.New("away"))
			return func() { m.Fail(nil) }
		},
	}
}
