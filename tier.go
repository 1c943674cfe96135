package echomfa

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/echomfa/echomfa/client"
)

const (
	// storeReadFor is how long a look-up waits for the Store, at most.
	storeReadFor = 100 * time.Millisecond
	// storeTellFor is how long an invalidation waits for it.
	storeTellFor = time.Second
	// maxClockSkew is how far the clocks of two instances may be apart.
	maxClockSkew = 2 * time.Second
)

// errNotStored is a look-up in the Store that found nothing to rely upon: GenAuth
// has to be asked.
var errNotStored = errors.New("echomfa: the store has no facts")

// tier is the Enforcer's side of a [Store]. Whatever the Store does, it is a miss
// at worst: it costs 100 ms at most, nothing while it keeps failing, and opens no
// door. The nil tier is none.
type tier struct {
	store     Store
	namespace string
	log       *slog.Logger
	breaker   *gobreaker.TwoStepCircuitBreaker[struct{}]
	open      atomic.Bool // the breaker's state as it was logged last
	// trustFrom is since when stored facts are relied upon, in Unix
	// nanoseconds: before, something may have been invalidated unheard.
	trustFrom atomic.Int64
	counts    storeCounts
	// heard says that the Store has been heard before.
	heard bool

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// StoreStats count what came of asking the [Store].
type StoreStats struct {
	// Hits and Misses count look-ups that did and did not find facts.
	Hits, Misses uint64
	// Rejected counts facts that were found and not believed: those of another
	// key, and those of the future.
	Rejected uint64
	// Failed counts calls that ended in an error, and Skipped those that were
	// not made because the ones before had failed.
	Failed, Skipped uint64
	// Open reports that the Store is left alone because it kept failing.
	Open bool
}

type storeCounts struct{ hits, misses, rejected, failed, skipped atomic.Uint64 }

func newTier(cfg *Config) *tier {
	if cfg.Cache.Store == nil {
		return nil
	}
	return &tier{
		store: cfg.Cache.Store, namespace: cfg.Namespace, log: slog.New(calmHandler{cfg.Logger.Handler()}),
		breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Timeout:     breakerPause,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
		}),
	}
}

func (t *tier) stats() StoreStats {
	if t == nil {
		return StoreStats{}
	}
	return StoreStats{
		Hits: t.counts.hits.Load(), Misses: t.counts.misses.Load(), Rejected: t.counts.rejected.Load(),
		Failed: t.counts.failed.Load(), Skipped: t.counts.skipped.Load(),
		Open: t.breaker.State() == gobreaker.StateOpen,
	}
}

// storeKey names a token, or a user, to a Store. The parts have their length
// before them, and the kind, so that no token is taken for a user.
func storeKey(kind, namespace, name string) StoreKey {
	return sha256.Sum256(appendPart(appendPart(appendPart(nil, kind), namespace), name))
}

func (t *tier) tokenKey(token string) StoreKey { return storeKey("token", t.namespace, token) }

// userKey names the user of a token; zero stands for none.
func userKey(namespace, subject string) StoreKey {
	if subject == "" {
		return StoreKey{}
	}
	return storeKey("user", namespace, subject)
}

// short is the part of a key by which entries of the cache are found. Another
// entry with the same one would be dropped along, and asked for again.
func (k StoreKey) short() uint64 { return binary.BigEndian.Uint64(k[:]) }

// call calls the Store behind the breaker. A panic of the Store is an error.
func (t *tier) call(ctx context.Context, f func(context.Context) error) (err error) {
	report, refused := t.breaker.Allow()
	if refused != nil {
		t.counts.skipped.Add(1)
		return refused
	}
	err = errNoResult // unless f returns
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{where: "Store", value: v}
			t.log.LogAttrs(ctx, slog.LevelError, "mfa store panicked", slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		}
		if err != nil {
			t.counts.failed.Add(1)
		}
		report(err)
		t.logState(ctx, err)
	}()
	return f(ctx)
}

// logState logs once that the Store is away, and once that it is back.
func (t *tier) logState(ctx context.Context, err error) {
	away := t.breaker.State() != gobreaker.StateClosed
	if !t.open.CompareAndSwap(!away, away) {
		return
	}
	if away {
		t.log.LogAttrs(ctx, slog.LevelError, "mfa store keeps failing: this instance goes on without it", slog.String("error", fmt.Sprint(err)))
		return
	}
	t.log.LogAttrs(ctx, slog.LevelInfo, "mfa store works again")
}

// get returns the facts of a token and when GenAuth was asked for them, or
// errNotStored. The version is for a set that follows, or nil if the Store could
// not be asked.
func (t *tier) get(ctx context.Context, key, user StoreKey) (known facts, asked time.Time, version *StoreVersion, err error) {
	var stored StoredFacts
	var found bool
	err = t.call(ctx, func(ctx context.Context) error {
		s, ok, v, err := t.store.Get(ctx, key, user)
		if err == nil {
			stored, found, version = s, ok, &v
		}
		return err
	})
	now := time.Now()
	switch {
	case err != nil:
		return facts{}, time.Time{}, nil, errNotStored
	case !found:
		t.counts.misses.Add(1)
		return facts{}, time.Time{}, version, errNotStored
	case stored.Key != key || stored.User != user || stored.Asked.Sub(now) > maxClockSkew:
		t.counts.rejected.Add(1)
		return facts{}, time.Time{}, version, errNotStored
	case now.Sub(stored.Asked) > maxFreshFor, stored.Asked.UnixNano() < t.trustFrom.Load():
		// What is older than any facts may be is none: nanoseconds could not hold its age.
		t.counts.misses.Add(1)
		return facts{}, time.Time{}, version, errNotStored
	}
	list := make([]client.Factor, 0, len(stored.Types))
	for _, typ := range stored.Types {
		list = append(list, client.Factor{Type: typ})
	}
	if known = newFacts(list, false); known.partial {
		t.counts.rejected.Add(1)
		return facts{}, time.Time{}, version, errNotStored
	}
	t.counts.hits.Add(1)
	if stored.Asked.After(now) {
		stored.Asked = now
	}
	return known, stored.Asked, version, nil
}

// set lets the other instances know what GenAuth has said. It comes after those
// who wait for the look-up have their answer.
func (t *tier) set(f *flight, keep time.Duration) {
	if f.version == nil || f.partial {
		return // what was invalidated meanwhile would not be known
	}
	if !f.expires.IsZero() {
		keep = min(keep, time.Until(f.expires))
	}
	if keep <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), storeReadFor)
	defer cancel()
	// An error is counted, and otherwise nothing that could be done better.
	_ = t.call(ctx, func(ctx context.Context) error {
		return t.store.Set(ctx, StoredFacts{
			Key: f.shared, User: f.owner, Types: f.enrolled.Types(), Asked: f.sent, Expires: f.expires,
		}, *f.version, keep)
	})
}

// tell lets all instances forget. It is tried even if the Store kept failing: it
// matters more than a look-up. If it fails, at least this instance does not
// believe what was stored before.
func (t *tier) tell(ctx context.Context, f func(context.Context, Store) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTellFor)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{where: "Store", value: v}
		}
		if err != nil {
			t.counts.failed.Add(1)
			t.distrust(time.Now())
			err = fmt.Errorf("echomfa: forgotten here, but the other instances could not be told: %w", err)
		}
	}()
	return f(ctx, t.store)
}

// distrust has facts that were asked for before a time not be relied upon any
// more. The clock of another instance may be behind.
func (t *tier) distrust(before time.Time) { t.trustFrom.Store(before.Add(maxClockSkew).UnixNano()) }

// watch hears what other instances invalidate, until close.
func (t *tier) watch(c *cache) {
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	t.wg.Go(func() {
		for ctx.Err() == nil {
			err := t.watchOnce(ctx, c)
			if ctx.Err() != nil {
				return
			}
			t.log.LogAttrs(ctx, slog.LevelError, "mfa store cannot be watched: invalidations of other instances are not heard",
				slog.String("error", fmt.Sprint(err)))
			select {
			case <-ctx.Done():
			case <-time.After(breakerPause):
			}
			t.heard = true
			t.missed(c)
		}
	})
}

func (t *tier) watchOnce(ctx context.Context, c *cache) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{where: "Store", value: v}
		}
	}()
	return t.store.Watch(ctx, func(e StoreEvent) {
		switch {
		case e.Resumed:
			t.missed(c)
		case e.Key != (StoreKey{}):
			c.invalidateShort(e.Key.short(), func(e *entry) uint64 { return e.shared }, func(f *flight) uint64 { return f.shared.short() })
		case e.User != (StoreKey{}):
			c.invalidateUser(e.User.short())
		}
	})
}

// missed handles that invalidations may not have been heard: all facts from
// before are asked for again. Those in the Store have been forgotten there, heard
// or not, unless it has come back with what it had before; at the start nothing
// speaks for that.
func (t *tier) missed(c *cache) {
	if t.heard {
		t.distrust(time.Now()) // before: what is asked for in the new epoch must know of it
	}
	t.heard = true
	c.epoch.Add(1)
}

func (t *tier) close() {
	if t != nil && t.stop != nil {
		t.stop()
		t.wg.Wait()
	}
}
