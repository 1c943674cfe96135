package echomfa

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/internal/breaker"
)

// Stats are counts since the Enforcer was made, and its present state.
type Stats struct {
	// Hits and Misses count decisions made from the cache and by a lookup,
	// refusals among them.
	Hits, Misses uint64
	// Stale counts requests let through by lists older than FreshFor.
	Stale uint64
	// WouldBlock counts requests that ReportOnly or InsecureAllow let through, by
	// what would have been their outcome.
	WouldBlock WouldBlock
	// Lookups counts lookups by result.
	Lookups LookupStats
	// InFlight and Queued are the lookups under way and those waiting.
	InFlight, Queued int
	// Limited counts lookups turned away by the budgets of LookupConfig.
	Limited uint64
	// BreakerOpen reports that lookups are stopped because they kept failing, until
	// one succeeds. BreakerCause is "no connection" or "known users", or empty.
	BreakerOpen  bool
	BreakerCause string
	// ColdStart reports that lookups have failed since the start, and that few are
	// tried at once until one succeeds.
	ColdStart bool
	// FailingUsers is how many users' lookups have failed since the last one that
	// succeeded: of known users, of those who found no connection, or of tokens at a
	// ColdStart. It stops at 4,096.
	FailingUsers int
	// Held is how many tokens GenAuth is not asked about for a while, because it
	// fails for them and not for others, or limits their rate. One that was
	// invalidated or forgotten meanwhile may count for up to a minute more.
	Held int
	// HeldUsers is how many known users GenAuth is not asked about for a while, with
	// any token, because it fails for them and not for others.
	HeldUsers int
	// Paused reports that no lookups are made for a while, because GenAuth limits the
	// rate for more than one user.
	Paused bool
	// InsecureAllow reports that OnUnavailable is InsecureAllow. WouldBlock.Unavailable
	// counts the requests that it has let through, too.
	InsecureAllow bool
	// Store counts the calls of the Store by result, if there is one.
	Store StoreStats
	// Entries and Refusals are how many tokens have a cached factor list, and how many
	// are remembered that were rejected, or whose lookups failed.
	Entries, Refusals int
}

// LookupStats counts lookups by result.
type LookupStats struct {
	Succeeded, Refused, RateLimited, Misconfigured, Unavailable, Malformed, Panicked, TurnedAway uint64
}

// WouldBlock counts requests by the outcome that was not enforced.
type WouldBlock struct {
	NotEnrolled, Unauthenticated, Unavailable uint64
}

// Stats returns the figures. They are read one after the other and need not
// agree with one another.
func (e *Enforcer) Stats() Stats {
	if !e.ready() {
		return Stats{}
	}
	d := e.decider
	s := d.counts.stats()
	s.Lookups = d.genauth.counts.stats()
	s.Store = d.store.stats()
	s.InFlight, s.Queued, s.Limited = d.genauth.budget.Figures()
	figures := d.genauth.breaker.Figures()
	s.BreakerOpen, s.BreakerCause = figures.Cause != breaker.NotOpen, figures.Cause.String()
	s.ColdStart, s.FailingUsers, s.Held = figures.ColdStart, figures.Users, d.genauth.holds.Count(time.Now())
	s.HeldUsers, s.Paused = d.genauth.users.Held(time.Now()), d.genauth.budget.Paused(time.Now())
	s.InsecureAllow = e.insecure.On()
	s.Entries, s.Refusals, s.Hits = d.cache.size()
	return s
}

// StoreStats count the calls of the [Store] by result.
type StoreStats struct {
	// Hits and Misses count lookups that did and did not find a list.
	Hits, Misses uint64
	// Rejected counts lists that were found and not believed: those of another
	// key, and those dated more than 2 s ahead.
	Rejected uint64
	// Failed counts calls that ended in an error, and Skipped those that were
	// not made because the ones before had failed.
	Failed, Skipped uint64
	// Open reports that the Store is not called for a while, because it kept failing.
	Open bool
	// Deaf reports that the Store has not been heard for a second: invalidations of
	// other instances do not arrive, and stored lists are not believed.
	Deaf bool
	// Unsent is how many invalidations of this instance the Store has not acknowledged
	// yet, and Dropped counts those that were given up because there were too many.
	Unsent  int
	Dropped uint64
	// Unreadable counts what the Store was told and could not read: more than a few mean
	// that instances with different secrets share it, and do not hear each other.
	Unreadable uint64
}

// lookupCounts counts lookups by class.
type lookupCounts [failureClasses]atomic.Uint64

func (c *lookupCounts) add(class failureClass) { c[class].Add(1) }

// decisionCounts counts decisions.
type decisionCounts struct {
	nameless                                  atomic.Int64 // when a token that names nobody was accepted last, in Unix ns
	misses, stale                             atomic.Uint64
	notEnrolled, unauthenticated, unavailable atomic.Uint64 // in ReportOnly
}

// add counts what ReportOnly lets through.
func (c *decisionCounts) add(d *Decision) {
	if d.Enforced {
		return
	}
	switch d.Outcome {
	case NotEnrolled:
		c.notEnrolled.Add(1)
	case Unauthenticated:
		c.unauthenticated.Add(1)
	case Unavailable:
		c.unavailable.Add(1)
	case InternalError, Allowed, Exempted:
	}
}

func (c *decisionCounts) stats() Stats {
	return Stats{
		Misses: c.misses.Load(),
		Stale:  c.stale.Load(),
		WouldBlock: WouldBlock{
			NotEnrolled:     c.notEnrolled.Load(),
			Unauthenticated: c.unauthenticated.Load(),
			Unavailable:     c.unavailable.Load(),
		},
	}
}

func (c *lookupCounts) stats() LookupStats {
	return LookupStats{
		Succeeded:     c[noFailure].Load(),
		Refused:       c[failureRefused].Load(),
		RateLimited:   c[failureLimited].Load(),
		Misconfigured: c[failureMisconfigured].Load(),
		Unavailable:   c[failureUnavailable].Load(),
		Malformed:     c[failureMalformed].Load(),
		Panicked:      c[failurePanic].Load(),
		TurnedAway:    c[failureTurnedAway].Load(),
	}
}

func (t *storeSource) stats() StoreStats {
	if t == nil {
		return StoreStats{}
	}
	unsent, dropped := t.outbox.Figures()
	return StoreStats{
		Hits: t.counts.hits.Load(), Misses: t.counts.misses.Load(), Rejected: t.counts.rejected.Load(),
		Failed: t.counts.failed.Load(), Skipped: t.counts.skipped.Load(),
		Open: t.breaker.Open(), Deaf: t.ear.Deaf(), Unsent: unsent, Dropped: dropped,
		Unreadable: t.counts.unreadable.Load(),
	}
}

// size returns how many entries and refusals are kept, and how many requests the
// cache has answered.
func (c *cache) size() (entries, refused int, hits uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += s.entries.Len()
		refused += s.refused.Len()
		hits += s.hits
		s.mu.Unlock()
	}
	return entries, refused, hits
}

// Observer is told decisions. Implementations must be safe for concurrent use
// and quick: they run before the request goes on.
type Observer interface {
	// ObserveDecision is called once for every decision, also for a request that a
	// Skipper let by, which is Exempted, and for one that is refused because a callback
	// panicked, which is an InternalError. If it panics itself, the answer is a 500. Route is the registered route
	// ("/admin/:id"), or empty where there is none, as in [Enforcer.Decide]. Method
	// is an HTTP method, "_OTHER" for one that is not in RFC 9110, RFC 5789 or
	// RFC 10008, or empty. Both are safe as metric labels.
	ObserveDecision(ctx context.Context, d Decision, route, method string)
}

// LookupObserver is an [Observer] that is told of the lookups at GenAuth, too.
type LookupObserver interface {
	Observer
	// ObserveLookup is called when a lookup begins, in the lookup's own goroutine. ctx is
	// the lookup's, with its deadline and no value of a request; request is the context
	// of the request that the lookup was begun for. It returns the context for
	// CheckToken and the Client, which must be made of ctx, and a function that is
	// called once when the lookup has ended, before the requests that wait for it go on.
	// A panic of either is logged, and changes nothing.
	ObserveLookup(ctx, request context.Context) (context.Context, func(LookupResult))
}

// LookupResult says how a lookup ended. It prints as "[redacted]": contexts of requests
// may hold secrets.
type LookupResult struct {
	secret

	// Failure says why the lookup told nothing of the user: "refused", "rate_limited",
	// "misconfigured", "unavailable", "malformed", "panicked" or "turned_away", as
	// [LookupStats] counts them. It is empty for one that succeeded.
	Failure string
	// Duration is how long the lookup took, with waiting for its turn, CheckToken and
	// a retry.
	Duration time.Duration
	// Waiting are the contexts of the requests that have waited for the lookup: the one
	// that it was begun for, and of the others the first 31. Some may have left.
	Waiting []context.Context
}

// mostWaiting bounds what a flight keeps of the requests that wait for it.
const mostWaiting = 32

// word is how metrics name a class.
func (c failureClass) word() string {
	switch c {
	case noFailure:
		return ""
	case failureRefused:
		return "refused"
	case failureLimited:
		return "rate_limited"
	case failureMisconfigured:
		return "misconfigured"
	case failureMalformed:
		return "malformed"
	case failurePanic:
		return "panicked"
	case failureTurnedAway:
		return "turned_away"
	case failureUnavailable:
	}
	return "unavailable"
}

// lookupObserver returns an Observer that is told of lookups, or nil.
//
//nolint:ireturn // it is what the configuration has
func lookupObserver(o Observer) LookupObserver {
	told, _ := o.(LookupObserver)
	return told
}

// observe tells an Observer that a lookup begins, and returns what tells it the end.
func (g *genauthSource) observe(ctx context.Context, f *flight) (within context.Context, ended func(failureClass)) {
	if g.observer == nil {
		return ctx, func(failureClass) {}
	}
	began := time.Now()
	within, tell := ctx, func(LookupResult) {}
	carefully := func(do func()) {
		var ignored error // an Observer does not decide
		defer recovered(ctx, g.log, f.q.token, &ignored)
		do()
	}
	carefully(func() {
		if ctx, end := g.observer.ObserveLookup(ctx, g.whoWait(f)[0]); ctx != nil && end != nil {
			within, tell = ctx, end //nolint:fatcontext // it is set once
		}
	})
	return within, func(class failureClass) {
		carefully(func() {
			tell(LookupResult{Failure: class.word(), Duration: time.Since(began), Waiting: g.whoWait(f)})
		})
	}
}

// whoWait returns the requests that wait for a flight, the one that began it first.
func (l *lookups) whoWait(f *flight) []context.Context {
	s := l.cache.shard(f.q.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(f.waiting)
}
