package echomfa_test

import (
	"slices"
	"time"
)

// When an instance does not ask GenAuth, by the reference model. There are five users at
// least behind a breaker that opens by users, and there are fewer in a history: what opens
// it here are lookups that find no connection.
const (
	modelPause    = 3 * time.Second / 2 // after a failure of a known token, of whose user one has failed before
	modelReserved = time.Second         // and longer for one that comes for the first time
	modelFailures = 5
	modelHold     = 2 * time.Second
	modelLongest  = 30 * time.Second
)

// success reports whether a word shows that GenAuth is there. A refusal does if the token
// is known; the model permits what is permitted if it is.
func (w *word) success() bool { return w.verdict <= refused }

// forgets reports whether what was asked for at a time is forgotten when a request comes.
func (v *view) forgets(asked time.Time, q query) bool {
	return slices.ContainsFunc(v.cuts, func(c *cut) bool { return asked.Before(c.from) && c.done.Before(q.arrived) })
}

// held reports whether the request's token may be held, or its user: its lookups have
// failed twice in a row, and another's has succeeded in between, or GenAuth has asked for a
// pause.
func (v *view) held(q query) bool {
	var first *word // of the row
	var hold time.Duration
	until := time.Time{}
	for _, w := range v.words { // a second try may count, and then permits more
		switch {
		case w.stored:
		case w.heard.After(q.answered):
		case w.verdict == limited:
			if end := w.heard.Add(max(w.pause, time.Second)); !v.forgets(w.asked, q) && end.After(until) {
				until = end
			}
		case w.success():
			first, hold, until = nil, 0, time.Time{}
		case w.verdict != down || v.forgets(w.asked, q):
		case first == nil:
			first = w
		case v.othersSucceed(first, w):
			first, hold = w, min(max(2*hold, modelHold), modelLongest)
			until = w.heard.Add(hold)
		}
	}
	return q.arrived.Before(until) || v.userHeld(q)
}

// othersSucceed reports whether a lookup has succeeded between two that have failed.
func (v *view) othersSucceed(first, second *word) bool {
	return slices.ContainsFunc(v.asks, func(s *word) bool {
		return s.success() && !s.heard.Before(first.heard) && !s.heard.After(second.heard)
	})
}

// userHeld reports whether the request's user may be held for any of the user's tokens, or
// may have no second lookup beside one under way, because the latest has failed. That of a
// token of which there are no facts does not count; the model permits that it does.
func (v *view) userHeld(q query) bool {
	var first, latest *word
	var hold time.Duration
	until := time.Time{}
	for _, w := range v.asks {
		switch {
		case userOfWord(w) != userOfWord(&word{token: v.token}) || w.heard.After(q.answered):
		case w.verdict <= partly:
			first, latest, hold, until = nil, nil, 0, time.Time{}
		case w.verdict != down:
		case first == nil:
			first, latest = w, w
		default:
			if latest = w; v.othersSucceed(first, w) {
				first, hold = w, min(max(2*hold, modelHold), modelLongest)
				until = w.heard.Add(hold)
			}
		}
	}
	if latest == nil || v.forgets(latest.asked, q) {
		return false
	}
	again := latest.heard.Add(100 * time.Millisecond) // it may be tried once more
	return q.arrived.Before(until) || v.asking || q.arrived.Before(again)
}

// userOfWord returns whom a word is about: the token, if that names nobody.
func userOfWord(w *word) any {
	if name := modelUsers[w.token]; name != "" {
		return name
	}
	return w.token
}

// paused reports whether all lookups pause: GenAuth has limited two known users within a
// second.
func (v *view) paused(q query) bool {
	for i, a := range v.asks {
		for _, b := range v.asks[:i] {
			pair := a.verdict == limited && b.verdict == limited && userOfWord(a) != userOfWord(b) && a.heard.Sub(b.heard) <= time.Second &&
				v.maybeKnown(a) && v.maybeKnown(b)
			if pair && (!q.arrived.After(a.heard.Add(max(a.pause, time.Second))) || !q.arrived.After(b.heard.Add(max(b.pause, time.Second)))) {
				return true
			}
		}
	}
	return false
}

// maybeKnown reports whether there may have been facts about a word's token before. What
// the Store has told of another token is not in the view.
func (v *view) maybeKnown(w *word) bool {
	return v.shared || slices.ContainsFunc(v.asks, func(o *word) bool { return o.token == w.token && o.verdict <= partly && !o.heard.After(w.heard) })
}

// open reports whether the breaker may turn a request away: five lookups in a row have
// found no connection, none has succeeded since, and one is under way or was a moment ago.
func (v *view) open(q query) bool {
	failures := 0
	var latest *word
	for _, w := range v.asks {
		switch {
		case !w.heard.Before(q.arrived) && w.success(): // too late for the request
		case w.verdict <= partly || w.success() && v.isKnown(w.token, w.heard):
			failures = 0
		case w.verdict == lost:
			failures++
			fallthrough
		default:
			latest = w
		}
	}
	wait := modelPause
	if !v.isKnown(v.token, q.arrived) {
		wait += modelReserved
	}
	return failures >= modelFailures && (v.asking || !q.arrived.After(latest.heard.Add(wait)))
}

// isKnown reports whether there certainly have been facts about a token by a time: those
// that were invalidated while they were asked for do not count, nor those in the Store,
// which an instance may not have believed.
func (v *view) isKnown(token int, by time.Time) bool {
	return slices.ContainsFunc(v.asks, func(w *word) bool {
		return w.token == token && w.verdict <= partly && w.heard.Before(by) && !slices.ContainsFunc(v.cuts, func(c *cut) bool {
			return !c.done.Before(w.begun) && !c.from.After(w.heard)
		})
	})
}
