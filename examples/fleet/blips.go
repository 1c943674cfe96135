package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/redis/rueidis"
)

// blips is a fleet with active users while Redis has trouble.
type blips struct {
	users, perSecond int           // requests, of all instances
	lookups          int           // that an instance may start in a second
	each             time.Duration // of traffic; the trouble comes after a third
	judged           bool          // whether too many 503s are an error
}

// A blip is one trouble of Redis, and the share of requests that it may turn into a 503
// beyond those that are one without any trouble.
type blip struct {
	name  string
	most  float64
	cause func(ctx context.Context, r *redis) error
}

// all is in this order: what is lost is worse than what is only cut off.
func (b *blips) all() []blip {
	return []blip{
		{"no trouble", 0, func(context.Context, *redis) error { return nil }},
		{"CLIENT KILL TYPE pubsub", slack, command("CLIENT", "KILL", "TYPE", "pubsub")},
		{"CLIENT KILL TYPE normal", slack, command("CLIENT", "KILL", "TYPE", "normal")},
		{"failover to the replica", 0.05, failover},
		{"FLUSHALL", 0.05, command("FLUSHALL")},
	}
}

// slack is what "no more than without" leaves to chance.
const slack = 0.002

func command(words ...string) func(context.Context, *redis) error {
	return func(ctx context.Context, r *redis) error { return r.do(ctx, r.option, words...) }
}

// failover has the sentinel make the replica the master.
func failover(ctx context.Context, r *redis) error {
	err := r.do(ctx, rueidis.ClientOption{InitAddress: r.option.InitAddress, ForceSingleClient: true}, "SENTINEL", "FAILOVER", masterSet)
	if err != nil && strings.HasPrefix(err.Error(), "INPROG") { // it has begun one itself
		return nil
	}
	return err
}

// measureBlips counts the requests of cached users that get a 503 while Redis has
// trouble. It uses a Redis of its own, with a replica and a sentinel.
func measureBlips(ctx context.Context, b blips, out io.Writer) (err error) {
	watched, err := startWatched(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, watched.stop()) }()
	f, err := newAlone(watched, echomfa.LookupConfig{MaxPerSecond: float64(b.lookups)}) //nolint:contextcheck // close ends it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	tokens := signIn(f.genauth, b.users)
	_, _ = fmt.Fprintf(out, `
Blips: %d users, %d instances of %d lookups a second, %d requests a second for %v each.
FreshFor 60 s. A Redis with a replica and a sentinel: %s.

`, b.users, changing, b.lookups, b.perSecond, b.each, watched.what)
	if err := f.warm(ctx, tokens, b); err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, "trouble                      requests     503            calls to GenAuth")
	var errs []error
	var usual float64
	for n, trouble := range b.all() {
		before := f.genauth.ListCalls()
		refused, total, late, err := f.work(ctx, tokens, b, func() error { return trouble.cause(ctx, watched) })
		if err != nil {
			return fmt.Errorf("%s: %w", trouble.name, err)
		}
		share := float64(refused) / float64(total)
		if n == 0 {
			usual = share
		}
		busy := late > b.each/20
		note := ""
		if busy {
			note = " (on a busy machine)"
		}
		_, _ = fmt.Fprintf(out, "%-28s %8d   %5d  %6.2f %%   %6d%s\n", trouble.name, total, refused, 100*share, f.genauth.ListCalls()-before, note)
		if b.judged && n > 0 && !busy && share > usual+trouble.most {
			errs = append(errs, fmt.Errorf("%s: %.2f %% of the requests got a 503, and not at most %.2f %%", trouble.name, 100*share, 100*(usual+trouble.most)))
		}
	}
	return errors.Join(errs...)
}

// warm has each user known, at the pace that the budgets allow.
func (f fleet) warm(ctx context.Context, tokens []string, b blips) error {
	for i, token := range tokens {
		for f[i%len(f)].ask(ctx, token) != http.StatusOK {
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second / time.Duration(3*b.lookups)):
		}
	}
	return nil
}

// work sends the requests of users, each to an instance that chance chooses, and has
// the trouble after a third of them. It returns how many got a 503, and how late the
// latest was sent.
func (f fleet) work(ctx context.Context, tokens []string, b blips, trouble func() error) (refused, total int64, late time.Duration, err error) {
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // it is to be the same each time
	n := int64(b.each.Seconds() * float64(b.perSecond))
	begin := time.Now()
	var wrong, unavailable atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range n {
		due := begin.Add(time.Duration(i) * time.Second / time.Duration(b.perSecond))
		time.Sleep(time.Until(due))
		late = max(late, time.Since(due))
		if ctx.Err() != nil {
			return 0, 0, 0, ctx.Err()
		}
		if i == n/3 {
			if err := trouble(); err != nil {
				return 0, 0, 0, err
			}
		}
		on, token := f[random.IntN(len(f))], tokens[random.IntN(len(tokens))]
		wg.Go(func() {
			switch on.ask(ctx, token) {
			case http.StatusOK:
			case http.StatusServiceUnavailable:
				unavailable.Add(1)
			default:
				wrong.Add(1)
			}
		})
	}
	wg.Wait()
	if ctx.Err() == nil && wrong.Load() > 0 {
		err = fmt.Errorf("%d of %d requests were refused", wrong.Load(), n)
	}
	return unavailable.Load(), n, late, errors.Join(ctx.Err(), err)
}
