package breaker_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/breaker"
)

// TestNothingIsStuck plays what callers and GenAuth may do in any order, lookups that never
// end among them. Whatever that was, who comes when GenAuth is there again is asked about
// soon, whether known or not, and that ends it.
func TestNothingIsStuck(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		caller breaker.Caller
		within time.Duration
	}{
		"known":   {known(1000), 1500 * time.Millisecond},
		"unknown": {unknown(1000), 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states := make(map[breaker.Figures]bool)
			for seed := range uint64(500) {
				p := newPlay(t)
				p.havoc(rand.New(rand.NewPCG(seed, 0)))
				f := p.Figures()
				states[breaker.Figures{Cause: f.Cause, ColdStart: f.ColdStart}] = true
				began := p.now
				pass, err := p.Enter(row.caller, p.now, p.now.Add(2*time.Second))
				for ; err != nil; pass, err = p.Enter(row.caller, p.now, p.now.Add(2*time.Second)) {
					p.pass(50 * time.Millisecond)
					require.LessOrEqual(t, p.now.Sub(began), row.within, "seed %d: %+v", seed, p.Figures())
				}
				p.Leave(pass, breaker.Success, p.now)
				require.Equal(t, breaker.Figures{}, p.Figures(), "seed %d", seed)
				p.enter(known(1))
				p.enter(unknown(1))
			}
			assert.Len(t, states, 6, "open or not, by either cause, in a cold start or not")
		})
	}
}

// havoc makes lookups for some seconds.
func (p *play) havoc(r *rand.Rand) {
	answered := r.IntN(2) == 0
	if answered {
		p.lookup(known(0), breaker.Success)
	}
	worst := breaker.Outcome(r.IntN(5)) // comes more often than others
	var under []*breaker.Pass
	for range 20 + r.IntN(200) {
		c := known(r.IntN(100))
		if r.IntN(2) == 0 {
			c = unknown(r.IntN(100))
		}
		if pass, err := p.Enter(c, p.now, p.now.Add(2*time.Second)); err == nil {
			under = append(under, pass)
		}
		if r.IntN(3) == 0 {
			p.pass(time.Duration(r.IntN(700)) * time.Millisecond)
		}
		if len(under) == 0 || r.IntN(4) == 0 {
			continue
		}
		i := r.IntN(len(under))
		o := worst
		if r.IntN(3) == 0 || o == breaker.Success {
			o = []breaker.Outcome{breaker.NoEvidence, breaker.NoConnection, breaker.Failed, breaker.Limited}[r.IntN(4)]
		}
		p.Leave(under[i], o, p.now)
		under = append(under[:i], under[i+1:]...)
	}
}
