package integration_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
)

// isolation decides about many users at once, each of whom has a factor set
// that nobody else has, and counts what came out wrong.
type isolation struct {
	users    []isolated
	policies []echomfa.Policy

	wrong, refused, left, unavailable atomic.Int64
}

type isolated struct {
	token    string
	factors  []client.Factor
	enrolled string // the factor set, spelled
	meets    []bool // by policy
}

func newIsolation(users int) *isolation {
	x := &isolation{policies: []echomfa.Policy{
		echomfa.AnyOf(echomfa.OTP),
		echomfa.AllOf(echomfa.SMS, echomfa.Email).Or(echomfa.AnyOf(echomfa.Face)),
		echomfa.AllOf(echomfa.OTP, echomfa.SMS),
		echomfa.AtLeast(3, echomfa.OTP, echomfa.SMS, echomfa.Email, echomfa.Face, echomfa.Passkey),
	}}
	known := []client.FactorType{client.OTP, client.SMS, client.Email, client.Face, client.Passkey}
	for i := range users {
		types := []client.FactorType{client.FactorType("OF-USER-" + strconv.Itoa(i))}
		for bit, typ := range known {
			if i>>bit&1 == 1 {
				types = append(types, typ)
			}
		}
		set := echomfa.Factors(types...)
		u := isolated{token: "user-" + strconv.Itoa(i), factors: listing(types...), enrolled: set.String()}
		for _, p := range x.policies {
			u.meets = append(u.meets, p.Evaluate(set).Satisfied)
		}
		x.users = append(x.users, u)
	}
	return x
}

// list answers for a token, and lets others run in between.
func (x *isolation) list(ctx context.Context, token string) ([]client.Factor, error) {
	i, err := strconv.Atoi(strings.TrimPrefix(token, "user-"))
	if err != nil {
		return nil, client.ErrUnauthenticated
	}
	runtime.Gosched()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return x.users[i].factors, nil
}

// run makes decisions, of which a tenth is left in the middle or before.
func (x *isolation) run(t *testing.T, lister echomfa.FactorListerFunc, decisions int) {
	t.Helper()
	e := newInMemory(t, lister, func(c *echomfa.Config) {
		c.Cache.Size = 64
		c.Lookup = echomfa.LookupConfig{Timeout: patience, MaxConcurrent: 4096, MaxPerSecond: 1e9}
	})
	const workers = 32
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	ctx := t.Context()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			for range decisions / workers {
				x.once(ctx, e, random)
			}
		})
	}
	wg.Wait()
}

func (x *isolation) once(ctx context.Context, e *echomfa.Enforcer, random *rand.Rand) {
	// Most requests come from a few users, so that there are hits too.
	user := random.IntN(len(x.users))
	if random.IntN(8) != 0 {
		user %= 48
	}
	u, p := &x.users[user], random.IntN(len(x.policies))
	canceled := random.IntN(10) == 0
	if canceled {
		c, cancel := context.WithCancel(ctx)
		defer cancel()
		ctx = c
		if random.IntN(2) == 0 {
			cancel()
		} else {
			go cancel()
		}
	}
	d, err := e.Decide(ctx, u.token, x.policies[p])
	switch {
	case d.Outcome == echomfa.Unavailable && canceled:
		x.left.Add(1)
		return
	case d.Outcome == echomfa.Unavailable:
		x.unavailable.Add(1)
		return
	case (err == nil) != u.meets[p], (d.Outcome == echomfa.Allowed) != u.meets[p], d.Enrolled.String() != u.enrolled:
		x.wrong.Add(1)
	}
	if err != nil {
		x.refused.Add(1)
	}
}

// TestF38Isolation decides about 1,000 users over a cache of 64 entries, and some
// of them do not wait for it. No decision may be made by another user's factors. The
// siege makes a million.
func TestF38Isolation(t *testing.T) {
	x := newIsolation(1000)
	x.run(t, x.list, isolations)
	assert.Zero(t, x.wrong.Load(), "wrong decisions")
	assert.Zero(t, x.unavailable.Load())
	assert.Positive(t, x.left.Load(), "somebody has left")
	made := isolations - x.left.Load()
	assert.GreaterOrEqual(t, made*10, int64(isolations)*8, "somebody has waited")
	assert.Greater(t, x.refused.Load()*10, made*4, "40 % are refusals at least")
	assert.Less(t, x.refused.Load()*10, made*6, "60 % at most")
	t.Logf("%d decisions, %d refusals, %d left", made, x.refused.Load(), x.left.Load())
}

// TestF38PlantedSwapIsDetected shows that the checker above sees what it looks
// for: one answer of a thousand goes to the wrong token.
func TestF38PlantedSwapIsDetected(t *testing.T) {
	x := newIsolation(1000)
	var calls atomic.Int64
	x.run(t, func(ctx context.Context, token string) ([]client.Factor, error) {
		if calls.Add(1)%1000 == 0 {
			token = "user-" + strconv.Itoa(rand.IntN(len(x.users)))
		}
		return x.list(ctx, token)
	}, 20_000)
	assert.Positive(t, x.wrong.Load())
}
