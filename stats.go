package echomfa

import (
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
