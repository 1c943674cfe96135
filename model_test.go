package echomfa_test

import (
	"slices"
	"time"

	"github.com/echomfa/echomfa"
)

// The reference model: what docs/freshness.md and docs/fleet.md let an instance
// answer. It knows what the instance has heard, from
// GenAuth and from the Store, and what was invalidated; it knows nothing of how the
// Enforcer works. See TestModel.

// verdict is the answer.
type verdict int

const (
	told      verdict = iota // the enrolled types
	partly                   // some of them: something was left out
	refused                  // 401
	wrong                    // GenAuth rejects the call
	panicking                // an error in the app's own code
	limited                  // 429
	down                     // no answer
	lost                     // no connection
)

// word is what an instance has heard about a token.
type word struct {
	token   int
	verdict verdict
	types   echomfa.FactorSet
	begun   time.Time     // when the lookup began: before asked if this is a second try
	asked   time.Time     // when GenAuth was asked
	seems   time.Time     // the same to the instance, by its own clock
	heard   time.Time     // when it heard
	pause   time.Duration // what a Retry-After said
	stored  bool          // the Store said it
	older   bool          // the Store had been given newer facts before
	unheard bool          // the Store said it while it was not heard, or after it had lost something
}

// cut is an invalidation, or news that some may have been missed. To requests that
// come after done, what was asked for before from is void.
type cut struct {
	from, done time.Time
	here       bool // Invalidate or InvalidateUser on this instance
	missed     bool // some may have been missed, and the Store has not forgotten them
}

// query is a request about a token, and when it was answered.
type query struct {
	policy            echomfa.Policy
	arrived, answered time.Time
}

// answer is one that the model permits. Its facts are those of the word.
type answer struct {
	outcome echomfa.Outcome
	word    *word
}

// view is what an instance knows when it answers a request about a token.
type view struct {
	rules   echomfa.CacheConfig
	timeout time.Duration
	words   []*word // about the token, from GenAuth and the Store
	asks    []*word // about any token, from GenAuth, in the order of its answers
	asking  bool    // GenAuth, about any token
	// underWay are the lookups under way, of each token.
	underWay [len(modelUsers)][]*word
	shared   bool // there is a Store
	cuts     []*cut
	expires  time.Time // of the token
	closed   time.Time // the instance
	doubted  time.Time // when it last could not tell the Store: what is stored from before is doubtful
	evicts   bool      // the cache is smaller than the number of tokens
	token    int
}

// modelSkew is how far the clocks of instances may be apart.
const modelSkew = 2 * time.Second

// permitted returns what the table of docs/freshness.md permits: one case for each row.
func (v *view) permitted(q query) []answer {
	unknown, standIn := v.trouble(q)
	var list []answer
	for _, w := range v.words {
		asked, joined := !w.asked.Before(q.arrived), !w.heard.Before(q.arrived)
		within := func(limit time.Duration) bool { return asked || v.age(w, q) <= limit }
		alive := asked || joined || q.arrived.Before(v.expires)
		satisfied := q.policy.Evaluate(w.types).Satisfied
		switch {
		case w.verdict == panicking && joined:
			list = append(list, answer{echomfa.InternalError, w})
		case !asked && v.void(w, q):
		case w.verdict == refused && (joined || within(v.rules.RefusedFor)):
			list = append(list, answer{echomfa.Unauthenticated, w})
		case w.verdict > partly || !alive:
		case satisfied && (within(v.rules.FreshFor) || standIn && v.standsIn(w, q)):
			list = append(list, answer{echomfa.Allowed, w})
		case !satisfied && w.verdict == told && within(v.rules.DenyFreshFor):
			list = append(list, answer{echomfa.NotEnrolled, w})
		}
	}
	if unknown && (!standIn || !v.standsIn(v.certain(q.answered), q)) {
		list = append(list, answer{outcome: echomfa.Unavailable})
	}
	return list
}

// standsIn reports whether a word lets a request go on while GenAuth is away.
func (v *view) standsIn(w *word, q query) bool {
	return w != nil && w.verdict <= partly && q.policy.Evaluate(w.types).Satisfied && v.age(w, q) <= v.rules.StaleIfError
}

// age is how old a word is when it answers.
func (v *view) age(w *word, q query) time.Duration { return q.answered.Sub(w.seems) }

// void reports whether a word of before the request may not answer it: it was
// invalidated, or the instance knew better.
func (v *view) void(w *word, q query) bool {
	for _, c := range v.cuts {
		confirmed := c.missed && w.stored && !w.heard.Before(c.done)
		if w.asked.Before(c.from) && c.done.Before(q.arrived) && !confirmed {
			return true
		}
	}
	if w.older || w.unheard {
		return true
	}
	return !v.evicts && slices.ContainsFunc(v.words, func(n *word) bool {
		return !n.unheard && (n.verdict == told || n.verdict == refused) && w.seems.Before(n.seems) && n.heard.Before(q.arrived) && v.kept(n, q)
	})
}

// kept reports whether an instance still knows a word when a request comes: it has
// not forgotten it, and was not told to while it waited for it. What the Store says is
// not believed if it may be from before an invalidation, by another instance's clock.
func (v *view) kept(w *word, q query) bool {
	return !slices.ContainsFunc(v.cuts, func(c *cut) bool {
		return !c.done.Before(w.begun) && c.done.Before(q.arrived) || c.here && !c.from.Before(w.begun) && !c.from.After(w.heard) ||
			w.stored && w.seems.Before(c.done.Add(modelSkew))
	})
}

// trouble reports whether the facts may be unknown to a request, and whether stale
// ones may stand in: GenAuth, or its answer, was missing, or was not asked for.
func (v *view) trouble(q query) (unknown, standIn bool) {
	unknown = q.answered.Sub(q.arrived) >= v.timeout || !v.closed.IsZero() && !q.answered.Before(v.closed)
	unknown = unknown || v.held(q) || v.paused(q) || v.open(q)
	standIn = unknown
	for _, w := range v.words {
		now := !w.heard.Before(q.arrived) // while the request waited
		unknown = unknown || now && (w.verdict == wrong || w.verdict >= limited) || w.verdict == partly && (now || v.age(w, q) <= v.rules.DenyFreshFor)
		standIn = standIn || now && (w.verdict == partly || w.verdict >= limited)
	}
	refuses := func(w *word) bool { return (w.verdict == refused || w.verdict == wrong) && !w.heard.Before(q.arrived) }
	return unknown, standIn && !slices.ContainsFunc(v.words, refuses)
}

// certain returns what an instance must still know at a time, or nil: the newest
// that it has heard, if nothing has made it forget.
func (v *view) certain(now time.Time) *word {
	var last *word
	for _, w := range v.words {
		if w.verdict <= refused && !w.unheard && (last == nil || w.seems.After(last.seems)) {
			last = w
		}
	}
	if last == nil || last.verdict == partly || v.evicts || !v.closed.IsZero() || !now.Before(v.expires) {
		return nil
	}
	forgotten := slices.ContainsFunc(v.cuts, func(c *cut) bool {
		return !c.done.Before(last.begun) || last.stored && !c.done.Add(modelSkew).Before(last.seems)
	})
	if forgotten || last.stored && !v.doubted.Add(modelSkew).Before(last.seems) {
		return nil
	}
	return last
}

// forced returns the answer that what is known forces on a request at a time, so
// that nobody is asked; ok reports whether there is one. Each FreshFor is up to a
// tenth shorter.
func (v *view) forced(p echomfa.Policy, now time.Time) (outcome echomfa.Outcome, ok bool) {
	w := v.certain(now)
	if w == nil {
		return 0, false
	}
	age := now.Sub(w.seems)
	switch {
	case w.verdict == refused:
		return echomfa.Unauthenticated, age <= v.rules.RefusedFor
	case p.Evaluate(w.types).Satisfied:
		return echomfa.Allowed, age <= v.rules.FreshFor*9/10
	default:
		return echomfa.NotEnrolled, age <= v.rules.DenyFreshFor
	}
}
