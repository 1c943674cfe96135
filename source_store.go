package echomfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/bounded"
	"github.com/echomfa/echomfa/internal/breaker"
	"github.com/echomfa/echomfa/internal/hearing"
	"github.com/echomfa/echomfa/internal/outbox"
)

const (
	// storeReadFor is how long a lookup waits for the Store, at most.
	storeReadFor = 100 * time.Millisecond
	// storeTellFor is how long an invalidation waits for it.
	storeTellFor = time.Second
	// storeCloseFor is how long Close waits for calls that do not end.
	storeCloseFor = time.Second
)

// errNotStored is a lookup in the Store that found nothing to rely upon: GenAuth
// has to be asked.
var errNotStored = errors.New("echomfa: the store does not have the list")

// storeSource is the Enforcer's side of a [Store]. Whatever the Store does, it is
// a miss at worst: it costs 100 ms at most, nothing while it keeps failing, and
// lets nobody through. The nil storeSource means that there is no Store.
type storeSource struct {
	lookups
	store      Store
	namespace  string
	checkToken func(ctx context.Context, token string) error
	log        *slog.Logger
	breaker    breaker.Row
	// trustFrom is since when stored facts are relied upon, in Unix
	// nanoseconds: before, the Store has lost what was invalidated.
	trustFrom atomic.Int64
	counts    storeCounts
	ear       *hearing.Ear
	// saidUnread is when it was said last that invalidations cannot be read.
	saidUnread rarely
	outbox     *outbox.Box[StoreKey, forgotten]

	stop  context.CancelFunc
	calls bounded.Calls // and the watcher
}

// forgotten is what an instance has invalidated: a token of a user, or, without a
// token, a user.
type forgotten struct{ token, user StoreKey }

// name is what is told of it.
func (f forgotten) name() StoreKey {
	if f.token != (StoreKey{}) {
		return f.token
	}
	return f.user
}

type storeCounts struct{ hits, misses, rejected, failed, skipped, unreadable atomic.Uint64 }

func newStoreSource(cfg *Config, c *cache, r *running) *storeSource {
	if cfg.Cache.Store == nil {
		return nil
	}
	t := &storeSource{
		store: cfg.Cache.Store, namespace: cfg.Namespace, checkToken: cfg.CheckToken,
		log: panicProof(cfg.Logger),
	}
	t.lookups = lookups{cache: c, table: storeTable, running: r, timeout: cfg.Lookup.Timeout, start: t.start}
	t.ear = hearing.New(t.logHearing)
	t.outbox = outbox.New[StoreKey](max(c.rules.FreshFor, c.rules.StaleIfError), t.send)
	if c.rules.OnlyWhileHeard {
		c.unheard = func() bool { return t.ear.Unheard(c.rules.DenyFreshFor) }
	}
	return t
}

// fetch returns what the Store has. It is done if that answers the request; if the
// Store has nothing, or is away, GenAuth is to be asked.
func (t *storeSource) fetch(ctx context.Context, q *question, p Policy, before reading) (r reading, done bool, err error) {
	if q.name == (StoreKey{}) {
		return before, false, nil
	}
	b, r, n, err := t.joinOrBegin(ctx, q, p, nil)
	switch {
	case err != nil:
		return before, false, err
	case n == nothing:
		return r, true, nil
	}
	if err := b.await(ctx); err != nil {
		return before, false, err
	}
	before.version = b.version
	switch {
	case errors.Is(b.err, errNotStored):
		return before, false, nil
	case b.err != nil:
		return before, false, b.err
	}
	r, n = t.reading(b, p, Stored)
	r.version = b.version
	return r, n == nothing, nil
}

// start begins a flight. It is in no budget: GenAuth is not asked.
func (t *storeSource) start(f *flight, _ need, _ time.Time) error {
	return t.running.run(f.deadline, func(ctx context.Context) {
		known, err := facts{}, error(errNoResult)
		defer func() { t.land(f, known, err) }() // also if a callback ends the goroutine
		known, err = t.stored(ctx, f)
	})
}

// stored returns the facts that the Store has. Another instance has checked the
// token; this one does so for itself.
func (t *storeSource) stored(ctx context.Context, f *flight) (known facts, err error) {
	defer recovered(ctx, t.log, f.q.token, &err)
	known, age, version, err := t.get(ctx, f.q.name, f.q.user)
	f.saw(version)
	if err != nil {
		return facts{}, err
	}
	if !f.known {
		t.asks(f) // a refusal is as old as itself, not as the facts
		began := time.Now()
		if err := runCheckToken(ctx, t.checkToken, f.q.token); err != nil {
			return facts{}, err
		}
		age += time.Since(began)
	}
	t.dates(f, age)
	return known, nil
}

// get returns the facts of a token and how old they are, or errNotStored. The
// version is for a set that follows, or nil if the Store could not be asked.
func (t *storeSource) get(ctx context.Context, key, user StoreKey) (facts, time.Duration, *StoreVersion, error) {
	type answer struct {
		stored  StoredFacts
		found   bool
		version StoreVersion
	}
	ctx, cancel := context.WithTimeout(ctx, storeReadFor)
	defer cancel()
	got, err := guardedCall(ctx, t, func(ctx context.Context) (a answer, err error) {
		a.stored, a.found, a.version, err = t.store.Get(ctx, key, user)
		return a, err
	})
	if err != nil {
		return facts{}, 0, nil, errNotStored
	}
	stored, version := got.stored, &got.version
	age := time.Since(stored.Asked.Round(0)) // by the wall clock: another instance asked
	switch {
	case !got.found, !t.ear.Hears(), stored.Asked.UnixNano() < t.trustFrom.Load():
		t.counts.misses.Add(1)
		return facts{}, 0, version, errNotStored
	case stored.Key != key, stored.User != user, age < -maxClockSkew, age > maxFreshFor:
		t.counts.rejected.Add(1)
		return facts{}, 0, version, errNotStored
	}
	list := make([]client.Factor, 0, len(stored.Types))
	for _, typ := range stored.Types {
		list = append(list, client.Factor{Type: typ})
	}
	known := newFacts(list, false)
	if known.partial {
		t.counts.rejected.Add(1)
		return facts{}, 0, version, errNotStored
	}
	t.counts.hits.Add(1)
	return known, max(0, age), version, nil
}

// shareAnswer lets the other instances know what GenAuth has said. Those who wait
// for the lookup have their answer already.
func (t *storeSource) shareAnswer(f *flight) {
	ctx := context.Background()
	switch {
	case f.q.name == (StoreKey{}):
	case f.kept && !f.partial:
		t.set(ctx, f)
		if t.cache.buried(f.q.graves, f.sent, false) { // invalidated while it was stored
			_ = t.tell(ctx, forgotten{f.q.name, f.q.user})
		}
	case f.known && failureOf(f.err) == failureRefused:
		// The other instances may know facts too. Not for every token that is
		// refused: made-up ones would be news to all.
		_ = t.tell(ctx, forgotten{f.q.name, f.q.user})
	}
}

// set stores what a flight learned. Without a version the Store would not know
// what was invalidated meanwhile. An error is counted, and otherwise nothing that
// could be done better.
func (t *storeSource) set(ctx context.Context, f *flight) {
	asked := time.Unix(0, f.sent.wall)
	keep := t.cache.rules.FreshFor
	if !f.q.expires.IsZero() {
		keep = min(keep, time.Until(f.q.expires))
	}
	if f.version == nil || keep <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, storeReadFor)
	defer cancel()
	_, _ = guardedCall(ctx, t, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, t.store.Set(ctx, StoredFacts{
			Key: f.q.name, User: f.q.user, Types: f.enrolled.Types(), Asked: asked, Expires: f.q.expires,
		}, *f.version, keep)
	})
}

// tell lets all instances forget. It is tried even if the Store kept failing: it
// matters more than a lookup. If it fails, the outbox tries it again.
func (t *storeSource) tell(ctx context.Context, f forgotten) error {
	ticket, lost := t.outbox.Add(f.name(), f)
	if lost {
		t.log.LogAttrs(ctx, slog.LevelError, "mfa store: an invalidation was given up: too many wait for the store",
			slog.String("event", "invalidation_dropped"))
	}
	err := t.send(ctx, f)
	t.outbox.Done(ticket, err)
	if err != nil {
		return fmt.Errorf("echomfa: forgotten here, but the other instances could not be told yet: %w", err)
	}
	return nil
}

func (t *storeSource) send(ctx context.Context, f forgotten) error {
	ctx, cancel := context.WithTimeout(ctx, storeTellFor)
	defer cancel()
	_, err := boundedCall(ctx, t, func(ctx context.Context) (struct{}, error) {
		if f.token == (StoreKey{}) {
			return struct{}{}, t.store.DeleteUser(ctx, f.user)
		}
		return struct{}{}, t.store.Delete(ctx, f.token, f.user)
	})
	if err != nil {
		t.counts.failed.Add(1)
	}
	return err
}

// take counts in a Store that counts, and reports true where that is not known.
func (t *storeSource) take(ctx context.Context, name string, limit int, per time.Duration) bool {
	if t == nil {
		return true
	}
	counter, counts := t.store.(StoreCounter)
	if !counts {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, storeReadFor)
	defer cancel()
	within, err := guardedCall(ctx, t, func(ctx context.Context) (bool, error) {
		return counter.Take(ctx, storeKey("count", t.namespace, name), limit, per)
	})
	return within || err != nil
}

// guardedCall calls the Store behind the breaker.
//
//nolint:ireturn // T is what f returns
func guardedCall[T any](ctx context.Context, t *storeSource, f func(context.Context) (T, error)) (T, error) {
	if !t.breaker.Enter(time.Now()) {
		t.counts.skipped.Add(1)
		var zero T
		return zero, errNotStored
	}
	v, err := boundedCall(ctx, t, f)
	if err != nil {
		t.counts.failed.Add(1)
	}
	if t.breaker.Leave(err == nil, time.Now()) {
		t.logState(ctx, err)
	}
	return v, err
}

// boundedCall calls the Store and returns when ctx ends, whatever the Store does.
// A panic of the Store is an error.
//
//nolint:ireturn // T is what f returns
func boundedCall[T any](ctx context.Context, t *storeSource, f func(context.Context) (T, error)) (T, error) {
	v, err := bounded.Call(ctx, &t.calls, f)
	var panicked *bounded.PanicError
	if errors.As(err, &panicked) {
		t.log.LogAttrs(ctx, slog.LevelError, "mfa store panicked",
			slog.String("event", "store_panicked"), slog.Any("panic", panicked.Value), slog.String("stack", string(panicked.Stack)))
		err = &panicError{where: "Store", value: panicked.Value}
	}
	if errors.Is(err, bounded.ErrOver) {
		err = ErrClosed
	}
	return v, err
}

// logState logs once that the Store is away, and once that it is back.
func (t *storeSource) logState(ctx context.Context, err error) {
	if err != nil {
		t.log.LogAttrs(ctx, slog.LevelError, "mfa store keeps failing: this instance goes on without it",
			slog.String("event", "store_failing"), slog.String("error", fmt.Sprint(err)))
		return
	}
	t.log.LogAttrs(ctx, slog.LevelInfo, "mfa store works again", slog.String("event", "store_recovered"))
}

// close tries once more to tell what the Store has not acknowledged, ends the watch and
// waits for the calls under way, but not for a Store that does not return.
func (t *storeSource) close() error {
	if t == nil || t.stop == nil {
		return nil
	}
	deadline := time.After(storeCloseFor)
	t.stop()
	t.outbox.Close()
	select {
	case <-t.calls.Over():
		return nil
	case <-deadline:
		return bounded.ErrTooMany
	}
}
