package echomfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/breaker"
	"github.com/echomfa/echomfa/internal/budget"
	"github.com/echomfa/echomfa/internal/digest"
	"github.com/echomfa/echomfa/internal/redact"
)

// question is what GenAuth or the Store is asked about a token. It does not change.
type question struct {
	token   string
	key     digest.Key
	arrived moment    // when the request came
	expires time.Time // the token's exp, or zero
	keep    bool      // facts about the token may be kept
	graves  graves
	// What the Store calls the token and its user. Name is zero where the Store
	// is not to be asked; user is zero if the token names nobody.
	name, user StoreKey
}

// flight is one lookup, shared by all requests that need its answer. It belongs to
// none of them: the first may leave while the others wait.
type flight struct {
	// Set before the flight begins; they do not change.
	q        *question
	deadline time.Time
	known    bool           // facts about the token were known, so CheckToken has accepted it
	caller   breaker.Caller // whose lookup it is, if GenAuth is asked
	failing  bool           // the lookup before has failed
	epoch    uint16         // of the cache
	ticket   *budget.Ticket // its turn in the budget, or nil if it waits for none
	done     chan struct{}  // closed by land
	// version is what the Store has seen of invalidations before GenAuth is
	// asked. A lookup in the Store sets it itself, before done is closed.
	version *StoreVersion

	// Guarded by the lock of the key's shard until done is closed. They do not
	// change after that.
	sent   moment // when the source was asked, or was at last; zero before
	stored bool   // sent is by the clock of another instance
	facts
	err     error
	waiting []context.Context // of the requests, for a LookupObserver: the first mostWaiting
	// kept reports that the answer was stored: nothing has been invalidated
	// here since GenAuth was asked.
	kept bool
}

// The tables of flights of a shard, one a source.
const (
	storeTable = iota
	genauthTable
	tables
)

// lookups are those of one source. Requests that need the same answer share one.
//
// Locks are taken in this order: a shard's first, and under it one of running's, the
// budget's, the breaker's, its users', its holds', the clock's and that of the lists of types. Under the clock's
// mu its steps may be taken. None of these takes another one, and nobody waits for anything
// but a lock while holding one.
type lookups struct {
	cache   *cache
	table   int // storeTable or genauthTable
	running *running
	timeout time.Duration
	// start begins a flight for a need. The shard's lock is held, so it must not
	// block.
	start    func(f *flight, n need, now time.Time) error
	observer LookupObserver // or nil
	// promote is told that a flight under way is worth more than it was. The
	// shard's lock is held, so it must not block. Nil if the source has no
	// classes.
	promote func(f *flight, n need)
}

// asked says when GenAuth was asked, for what is remembered of failures.
func (f *flight) asked() breaker.Stamp { return breaker.Stamp{At: f.sent.monotonic, Epoch: f.epoch} }

// goes notes, before the flight begins, whose lookup it is and whether the one before
// has failed.
func (f *flight) goes(caller breaker.Caller, failing bool) { f.caller, f.failing = caller, failing }

// queues notes, before the flight begins, its turn in the budget.
func (f *flight) queues(ticket *budget.Ticket) { f.ticket = ticket }

// saw notes, before the flight has landed, what the Store has seen of invalidations.
func (f *flight) saw(version *StoreVersion) { f.version = version }

// begun is a flight that a request waits for.
type begun struct {
	*flight
	own bool // the request has started it
}

// joinOrBegin returns the flight under way for a question, or starts one. Under the same
// lock it reads the cache again, and returns no flight if that has the answer by
// now.
func (l *lookups) joinOrBegin(ctx context.Context, q *question, p Policy, version *StoreVersion) (b begun, r reading, n need, err error) {
	s := l.cache.shard(q.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if n = l.cache.readLocked(s, q.key, p, l.cache.moment(now), &r); n == nothing {
		return begun{}, r, nothing, nil
	}
	if f := s.flights[l.table][q.key]; f != nil && l.joinable(f, now) {
		if l.promote != nil {
			l.promote(f, n)
		}
		l.waits(ctx, f)
		return begun{flight: f}, reading{}, n, nil
	}
	f := &flight{
		q: q, deadline: now.Add(l.timeout), known: n != cold, epoch: l.cache.epochNow(), version: version,
		done: make(chan struct{}),
	}
	l.waits(ctx, f)
	if err := l.start(f, n, now); err != nil {
		return begun{}, reading{}, n, err
	}
	s.flights[l.table][q.key] = f
	return begun{flight: f, own: true}, reading{}, n, nil
}

// waits notes a request that waits for a flight. The shard's lock is held.
func (l *lookups) waits(ctx context.Context, f *flight) {
	if l.observer != nil && len(f.waiting) < mostWaiting {
		f.waiting = append(f.waiting, ctx)
	}
}

// joinable reports whether a flight may still answer a request that comes now: not
// if it has asked before an invalidation, or before one may have been missed. The
// shard's lock is held.
func (l *lookups) joinable(f *flight, now time.Time) bool {
	return now.Before(f.deadline) && f.epoch == l.cache.epochNow() && (f.sent == moment{} || !l.cache.buried(f.q.graves, f.sent, f.stored))
}

// underWay reports whether a request that comes now would join a flight.
func (l *lookups) underWay(q *question) bool {
	s := l.cache.shard(q.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[l.table][q.key]
	return f != nil && l.joinable(f, time.Now())
}

// asks notes that the source is asked now.
func (l *lookups) asks(f *flight) {
	s := l.cache.shard(f.q.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.sent = l.cache.send(time.Now())
}

// dates notes how old the answer is that a source has kept for another instance.
func (l *lookups) dates(f *flight, age time.Duration) {
	s := l.cache.shard(f.q.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.sent, f.stored = l.cache.moment(time.Now().Add(-age)), true
}

// land ends a flight: the cache keeps what it learned, unless that has been
// invalidated meanwhile, and those who wait for it are released.
func (l *lookups) land(f *flight, known facts, err error) {
	s := l.cache.shard(f.q.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	if s.flights[l.table][f.q.key] == f {
		delete(s.flights[l.table], f.q.key)
	}
	f.facts, f.err = known, err
	if l.cache.buried(f.q.graves, f.sent, f.stored) {
		// These may be the facts of before. Who waits has asked GenAuth before
		// the invalidation; of the Store that cannot be said.
		if f.stored {
			f.err = errNotStored
		}
		return
	}
	switch failureOf(err) {
	case noFailure:
		if l.cache.newer(s, f) { // this instance has asked since
			if f.stored {
				f.err = errNotStored
			}
			return
		}
		l.cache.keep(s, f)
		f.kept = f.q.keep
	case failureRefused:
		l.cache.refuse(s, f, err)
	case failureLimited, failureMisconfigured, failureUnavailable, failureMalformed, failurePanic, failureTurnedAway:
		// Nothing was learned of the user.
	}
}

// await waits until a flight has landed, or ctx ends. The error is why.
func (b begun) await(ctx context.Context) error {
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reading returns what a flight that has landed tells a request, and which lookup
// the request needs all the same: facts may be too old by now.
func (l *lookups) reading(b begun, p Policy, source Source) (reading, need) {
	r := reading{known: true, facts: b.facts, source: source, age: max(0, b.sent.age(l.cache.moment(time.Now())))}
	n := l.cache.weigh(b.q.key, p, &r, b.epoch)
	return r, n
}

// running are the goroutines of the lookups under way. All of them are over when
// close returns.
type running struct {
	mu     sync.Mutex
	closed bool            // guarded by mu
	ctx    context.Context //nolint:containedctx // its end is the end of all lookups
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newRunning() *running {
	ctx, cancel := context.WithCancel(context.Background())
	return &running{ctx: ctx, cancel: cancel}
}

// run calls do in a goroutine, with a context that ends at the deadline. No value
// of the request's context is taken along, and its end does not end the lookup.
func (r *running) run(deadline time.Time, do func(context.Context)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	r.wg.Go(func() {
		ctx, cancel := context.WithDeadline(r.ctx, deadline)
		defer cancel()
		do(ctx)
	})
	return nil
}

// close ends all lookups and waits for them.
func (r *running) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}

// expiredBy reports whether the token's own life has ended, by a clock that may be behind
// others'.
func (q *question) expiredBy(now time.Time) bool {
	return !q.expires.IsZero() && now.Add(maxClockSkew).After(q.expires)
}

// evidence returns what an error of the flight tells of GenAuth. A long token has a
// connection of its own: that it got none may be due to how many of them somebody sends.
func (f *flight) evidence(err error, now time.Time) breaker.Outcome {
	o := evidence(err, f.caller.Known, f.q.expiredBy(now))
	if o == breaker.NoConnection && len(f.q.token) > breaker.LongToken {
		return breaker.Failed
	}
	return o
}

// evidence returns what a lookup tells of GenAuth. That of an unknown token tells
// nothing by a refusal, nor does that of one that has expired: a gateway may refuse
// these while GenAuth is down. A panic and a lookup that was given up tell nothing
// either.
func evidence(err error, known, expired bool) breaker.Outcome {
	var (
		way interface{ Unconnected() bool }
		api *client.APIError
	)
	known = known && !expired
	switch failureOf(err) {
	case noFailure:
		return breaker.Success
	case failureRefused:
		if known {
			return breaker.Success
		}
	case failureMisconfigured:
		if known && errors.As(err, &api) && (api.HTTPStatus == http.StatusForbidden || api.StatusCode == http.StatusForbidden) {
			return breaker.Success
		}
	case failureUnavailable, failureMalformed:
		switch {
		case errors.Is(err, errNoResult), errors.Is(err, context.Canceled):
		case errors.As(err, &way) && way.Unconnected():
			return breaker.NoConnection
		default:
			return breaker.Failed
		}
	case failureLimited:
		return breaker.Limited
	case failurePanic, failureTurnedAway:
	}
	return breaker.NoEvidence
}

// recovered makes a panic of a callback an error, so that those who wait are
// released.
func recovered(ctx context.Context, log *slog.Logger, token string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	secrets := redact.Of(token)
	said := secrets.Hide(fmt.Sprint(v))
	*err = &panicError{where: "lookup", value: said}
	log.LogAttrs(ctx, slog.LevelError, "mfa lookup panicked", slog.String("event", "lookup_panicked"),
		slog.String("panic", said), slog.String("stack", secrets.Hide(string(debug.Stack()))))
}

// runCheckToken calls CheckToken, and tells its verdict from its failure to reach one.
func runCheckToken(ctx context.Context, check func(context.Context, string) error, token string) error {
	if check == nil {
		return nil
	}
	err := check(ctx, token)
	if err == nil {
		err = ctx.Err() // it has left no time to ask GenAuth, which has not failed
	}
	if err == nil || undetermined(err) {
		return withoutToken(err, token)
	}
	return withoutToken(&TokenError{Code: codeInvalidToken, Reason: "the token was not accepted", Err: err}, token)
}
