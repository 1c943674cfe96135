package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/redis/rueidis"
)

// costs is how much of what measureCosts does.
type costs struct {
	idle   time.Duration // and as long with invalidations
	passes int           // of reads, of both kinds in turn
	reads  int           // in a pass
	most   float64       // of a core, that an instance may take; 0 for no limit
}

const invalidations = 20 // a second

// measureCosts measures what listening to invalidations costs an instance, and how long
// it takes to read facts from the store beside a plain GET of as many bytes.
func measureCosts(ctx context.Context, shared *redis, c costs, out io.Writer) (err error) {
	f, err := newAlone(shared, unlimited()) //nolint:contextcheck // close ends it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	idle, err := core(ctx, c.idle, nil)
	if err != nil {
		return err
	}
	busy, err := core(ctx, c.idle, func(n int) error {
		return f.fleet[n%changing].mfa.Invalidate(ctx, rand.Text())
	})
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, `
Costs: a process of %d instances takes %.2f %% of a core when idle, and %.2f %% with %d
invalidations a second of tokens that nobody knows: %.2f %% more for each instance.
`, changing, 100*idle, 100*busy, invalidations, 100*(busy-idle)/changing)
	if c.most > 0 && busy/changing > c.most {
		return fmt.Errorf("an instance takes %.2f %% of a core, and not at most %.0f %%", 100*busy/changing, 100*c.most)
	}
	return reads(ctx, f.fleet[0], shared, c, out)
}

// core has something done 20 times a second, and returns the share of a core that the
// process takes meanwhile.
func core(ctx context.Context, d time.Duration, do func(int) error) (float64, error) {
	var before, after syscall.Rusage
	begin := time.Now()
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for n := 0; time.Since(begin) < d && err == nil; n++ {
		if do != nil {
			err = do(n)
		}
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(time.Until(begin.Add(time.Duration(n+1) * time.Second / invalidations))):
		}
	}
	if err == nil {
		err = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	}
	used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	return used.Seconds() / time.Since(begin).Seconds(), err
}

// reads reads facts from the store, and as many bytes by themselves, in turn.
func reads(ctx context.Context, i *instance, shared *redis, c costs, out io.Writer) error {
	key, user := random(), random()
	facts := echomfa.StoredFacts{Key: key, User: user, Types: []echomfa.FactorType{echomfa.OTP}, Asked: time.Now()}
	_, _, version, err := i.store.Get(ctx, key, user)
	if err == nil {
		err = i.store.Set(ctx, facts, version, time.Hour)
	}
	if err != nil {
		return err
	}
	option := shared.option
	option.DisableCache = true
	plain, err := rueidis.NewClient(option)
	if err != nil {
		return err
	}
	defer plain.Close()
	const name, bytes = "fleet-plain", 240
	set := plain.B().Set().Key(name).Value(rueidis.BinaryString(make([]byte, bytes))).ExSeconds(3600).Build()
	if err := plain.Do(ctx, set).Error(); err != nil {
		return err
	}
	var took [2]time.Duration
	for range c.passes {
		for kind, read := range []func() error{
			func() error {
				_, found, _, err := i.store.Get(ctx, key, user)
				if err == nil && !found {
					err = errors.New("the store has lost the facts")
				}
				return err
			},
			func() error { return plain.Do(ctx, plain.B().Get().Key(name).Build()).Error() },
		} {
			begin := time.Now()
			for range c.reads {
				if err := read(); err != nil {
					return err
				}
			}
			took[kind] += time.Since(begin)
		}
	}
	each := time.Duration(c.passes * c.reads)
	_, _ = fmt.Fprintf(out, "A read of the store takes %v, a plain GET of %d bytes %v: %.2f times as long.\n",
		(took[0] / each).Round(100*time.Nanosecond), bytes, (took[1] / each).Round(100*time.Nanosecond), float64(took[0])/float64(took[1]))
	return nil
}

// random returns the name of a token, or of a user.
func random() (k echomfa.StoreKey) {
	_, _ = rand.Read(k[:])
	return k
}
