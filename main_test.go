package echomfa_test

import (
	"crypto/fips140"
	"crypto/rand"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/internal/answertest"
)

func TestMain(m *testing.M) {
	answertest.RegisterUpdate()
	if fips140.Enabled() {
		seedGenerators()
	}
	goleak.VerifyTestMain(m)
}

// seedGenerators has as many generators of random numbers seeded as tests use
// at once. In FIPS mode the noise of a clock seeds them, and the clock of a
// synctest bubble has none. A collection of garbage drops them: see make fips.
func seedGenerators() {
	const readers, enough = 32, 2 << 20 // bytes that keep a reader busy meanwhile
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() { _, _ = rand.Read(make([]byte, enough)) })
	}
	wg.Wait()
}
