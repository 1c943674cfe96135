//go:build siege

package integration_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What TestBreakerSiege measures with: users who make a request every two seconds each, and how
// long an attack lasts.
const (
	besieged   = 3000
	besiegeFor = 20 * time.Second
	pairs      = 5
)

// watchOf is what active users got in a while.
type watchOf struct {
	mu      sync.Mutex
	right   int
	took    []time.Duration
	opened  bool
	pending sync.WaitGroup
}

// work has all users make requests for a while, and somebody else do something each 10 ms.
func (g *gateway) work(d time.Duration, attack func(i int)) *watchOf {
	w := new(watchOf)
	ticks := time.NewTicker(10 * time.Millisecond)
	defer ticks.Stop()
	const each = besieged / 200
	for i := range int(d / (10 * time.Millisecond)) {
		for u := range each {
			w.pending.Go(func() {
				begin := time.Now()
				got, _ := g.ask(g.users[(i*each+u)*1013%besieged])
				took := time.Since(begin)
				w.mu.Lock()
				defer w.mu.Unlock()
				w.took = append(w.took, took)
				if got == echomfa.Allowed {
					w.right++
				}
			})
		}
		if attack != nil {
			attack(i)
		}
		w.opened = w.opened || g.e.Stats().BreakerOpen
		<-ticks.C
	}
	w.pending.Wait()
	slices.Sort(w.took)
	return w
}

func (w *watchOf) share() float64     { return 100 * float64(w.right) / float64(len(w.took)) }
func (w *watchOf) p99() time.Duration { return w.took[len(w.took)*99/100] }

// brokenRecord is a GenAuth that cannot show the record of one user.
type brokenRecord struct {
	echomfa.FactorLister
	tokens map[string]bool
}

// ListEnrolledFactors fails for that user.
func (b *brokenRecord) ListEnrolledFactors(ctx context.Context, token string) ([]client.Factor, error) {
	list, err := b.FactorLister.ListEnrolledFactors(ctx, token)
	if b.tokens[token] {
		return nil, &client.APIError{Op: "list-enrolled-factors", HTTPStatus: 500}
	}
	return list, err
}

// TestBreakerSiege runs the attacks on active users, with the default budgets, in turns with
// none, and prints what they notice: at least 99 % of the answers are to be those that
// they get otherwise, and the 99th percentile at most 50 ms later.
func TestBreakerSiege(t *testing.T) {
	for _, row := range []struct {
		name  string
		http2 bool
		user  bool
	}{{"made-up tokens, HTTP/1.1", false, false}, {"made-up tokens, HTTP/2", true, false}, {"one user's broken record", false, true}} {
		t.Run(row.name, func(t *testing.T) {
			mallory := &brokenRecord{tokens: make(map[string]bool)}
			var list []string
			g := newGateway(t, row.http2, besieged, func(c *echomfa.Config) {
				genauth, _ := c.Client.(*client.Client)
				c.Audience, c.Namespace = []string{genauth.AppID()}, "siege"
				mallory.FactorLister = c.Client
				c.Client = mallory
			})
			g.genauth.AddUser(genauthtest.User{ID: "mallory"})
			for range 50 {
				list = append(list, g.genauth.Mint(genauthtest.Token{UserID: "mallory"}))
			}
			for _, token := range append(slices.Clone(list), g.users...) { // they come
				begin := time.Now()
				if got, err := g.ask(token); got == echomfa.Unavailable {
					t.Log(err)
				}
				pass(t, 21*time.Millisecond-time.Since(begin))
			}
			for _, token := range list {
				mallory.tokens[token] = true
			}
			g.work(besiegeFor, nil)
			n := 0
			attack := func(i int) {
				switch n++; {
				case row.user:
					go func() { _, _ = g.ask(list[i%len(list)]) }()
				case i%10 == 0:
					token := fmt.Sprintf("made-up-%d-", n)
					go func() { _, _ = g.ask(token + strings.Repeat("~", client.MaxTokenBytes-len(token))) }()
				}
			}
			var without, with float64
			var later time.Duration
			for pair := range pairs {
				a, b := g.work(besiegeFor, nil), g.work(besiegeFor, attack)
				t.Logf("%s, pair %d: right %.2f %% without, %.2f %% with; p99 %v without, %v with", row.name, pair+1, a.share(), b.share(), a.p99(), b.p99())
				without, with, later = without+a.share()/pairs, with+b.share()/pairs, later+(b.p99()-a.p99())/pairs
				assert.False(t, b.opened, "lookups never stop")
			}
			t.Logf("%s: right %.2f %% without, %.2f %% with; p99 %v later; %+v", row.name, without, with, later, g.e.Stats())
			assert.GreaterOrEqual(t, with, 99.0)
			assert.LessOrEqual(t, later, 50*time.Millisecond)
			require.NotEmpty(t, g.users)
		})
	}
}
