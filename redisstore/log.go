package redisstore

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/redis/rueidis"
)

// Invalidations are a log: a stream, and beside it a key with the name of its history
// and the last entry. Each entry names the one before it. Who has heard the log up to
// an entry knows by that whether it has missed something, and whether Redis has lost
// something.

const (
	// logKept is how long an entry is kept: no facts of before it live longer.
	logKept = 6 * time.Minute
	// logMost is the most entries that are kept.
	logMost = 200_000
	// logLife is how long a log is kept that nobody reads.
	logLife = time.Hour
)

// beginLog is what both scripts begin with: a history that has lost its stream, or the
// other way round, is over, and another one begins. A script that has written something
// may go on where Redis is full: the log is small, and bounded, and an invalidation
// matters more than what is evicted for it.
const beginLog = `
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local history, last = string.match(redis.call('GET', KEYS[2]) or '', '^(%S+) (%d+%-%d+%S*)$')
if not history or (last ~= '0-0' and redis.call('EXISTS', KEYS[1]) == 0) then
  redis.call('DEL', KEYS[1])
  history, last = ARGV[1], '0-0'
  redis.call('SET', KEYS[2], history .. ' ' .. last, 'PX', ARGV[2])
end
`

// appendScript appends an event. Its place is its id, which is a time, and some letters: a
// server whose clock is behind may give the id of an entry that was lost to another one.
const appendScript = beginLog + `
local tag = string.sub(ARGV[1], 1, 6)
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], '*', 'p', last, 't', tag, 'e', ARGV[3])
local at = tonumber(string.match(id, '^%d+'))
redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', math.max(0, at - ARGV[4])))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
last = id .. ':' .. tag
redis.call('SET', KEYS[2], history .. ' ' .. last, 'PX', ARGV[2])
return {history, last}
`

// lookScript returns the history and its last entry. It writes in any case: a master
// that has lost its replicas says so then, if min-replicas-to-write tells it to.
const lookScript = beginLog + `
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {history, last}
`

// place is one in the log: the id of an entry, and what tells it from another one with
// the same id.
type place struct {
	ms, seq uint64
	tag     string
}

func parsePlace(text string) (place, error) {
	id, tag, _ := strings.Cut(text, ":")
	ms, seq, _ := strings.Cut(id, "-")
	p := place{tag: tag}
	var err, err2 error
	p.ms, err = strconv.ParseUint(ms, 10, 64)
	p.seq, err2 = strconv.ParseUint(seq, 10, 64)
	return p, errors.Join(err, err2)
}

// String returns the id.
func (p place) String() string {
	return strconv.FormatUint(p.ms, 10) + "-" + strconv.FormatUint(p.seq, 10)
}

func (p place) after(q place) bool { return p.ms > q.ms || p.ms == q.ms && p.seq > q.seq }

// mark is an entry of a history.
type mark struct {
	history string
	at      place
}

// newHistory returns a name that no history has had.
func newHistory() string {
	var random [12]byte
	rand.Read(random[:]) // never fails, as its documentation says
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// ask runs one of the scripts.
func (s *Store) ask(ctx context.Context, client rueidis.Client, script *script, more ...string) (mark, error) {
	args := append([]string{newHistory(), milliseconds(logLife)}, more...)
	answer, err := script.exec(ctx, client, []string{s.secrets[0].log, s.secrets[0].history}, args).AsStrSlice()
	if err != nil {
		return mark{}, err
	}
	if len(answer) != 2 {
		return mark{}, errEncoding
	}
	at, err := parsePlace(answer[1])
	return mark{answer[0], at}, err
}

// append appends an event, and remembers that it has been acknowledged.
func (s *Store) append(ctx context.Context, client rueidis.Client, event string) error {
	m, err := s.ask(ctx, client, s.appends, event, milliseconds(logKept), strconv.Itoa(logMost))
	if err != nil {
		return err
	}
	s.own.add(m)
	return nil
}

// acknowledged are the last entries of this instance that Redis has acknowledged. What
// is not heard of them was lost.
type acknowledged struct {
	mu    sync.Mutex
	first uint64 // the number of the first of marks
	marks []mark
}

// ownMost is how many are remembered at least: more than are made between two looks.
const ownMost = 5_000

func (a *acknowledged) add(m mark) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.marks = append(a.marks, m); len(a.marks) == 2*ownMost { // not with each: it copies
		a.marks = append(a.marks[:0:0], a.marks[ownMost:]...)
		a.first += ownMost
	}
}

// since returns what was acknowledged since a number, and the next number.
func (a *acknowledged) since(number uint64) ([]mark, uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.first + uint64(len(a.marks))
	return append([]mark(nil), a.marks[len(a.marks)-int(next-max(number, a.first)):]...), next //nolint:gosec // within the slice
}

// entry is one of the log.
type entry struct {
	at, before place
	event      string
}

func parseEntry(e rueidis.XRangeEntry) (entry, error) {
	at, err := parsePlace(e.ID + ":" + e.FieldValues["t"])
	before, err2 := parsePlace(e.FieldValues["p"])
	return entry{at, before, e.FieldValues["e"]}, errors.Join(err, err2)
}

const (
	// lookGap is how often the log is looked at: after each read that waited to its end,
	// and not after each that brought something. Who hears is at most so late to know that
	// the log was lost, and an author needs two looks to know that an entry was.
	lookGap  = 300 * time.Millisecond
	readMost = 1000
)

// reader reads the log for one Watch.
type reader struct {
	s    *Store
	hear func(echomfa.StoreEvent)

	history string
	cursor  place // all up to here has been read
	link    place // the last entry that was heard: the next one names it
	begun   bool  // there is one
	tail    place // where the log ended when it was looked at last
	gone    place // where it ended when it was rewound because it was not there to be read
	looked  time.Time
	placed  bool
	from    place // where it ended when it was looked at first, once placed

	// What was heard lately, by which own entries that were lost are found out.
	heard, heardBefore map[place]bool
	turned             time.Time
	due                []mark // was acknowledged before the look that was followed by a read to the end
	next               uint64 // of the own entries
	caughtUp           bool   // since then the log was read to its end
}

// errFork ends a round, so that a log which never fits together is read again after a
// pause, and the instance says that it does not hear.
var errFork = errors.New("redisstore: the log goes on from before its last entry that was heard")

// round listens once, and looks where the log is if it is time for that. Without an
// error everything has been told that was acknowledged before it began, unless it
// reports that there is more.
func (r *reader) round(ctx context.Context, client rueidis.Client) (more bool, err error) {
	if time.Since(r.looked) >= lookGap {
		rewound, err := r.look(ctx, client)
		if err != nil {
			r.looked = time.Time{}
			return false, err
		}
		if rewound {
			r.rewind()
		}
	}
	rest := max(time.Millisecond, lookGap-time.Since(r.looked))
	own, cancel := context.WithTimeout(ctx, rest+r.s.options.ConnWriteTimeout)
	defer cancel()
	entries, err := client.Do(own, client.B().Xread().Count(readMost).Block(rest.Milliseconds()).
		Streams().Key(r.s.secrets[0].log).Id(r.cursor.String()).Build()).AsXRead()
	switch {
	case rueidis.IsRedisNil(err):
		if r.tail.after(r.link) {
			r.absent()
			return true, nil
		}
		r.caughtUp, r.looked = true, time.Time{}
		return false, nil
	case err != nil:
		r.looked = time.Time{}
		return false, fmt.Errorf("redisstore: read the log: %w", err)
	}
	list := entries[r.s.secrets[0].log]
	for _, raw := range list {
		if !r.entry(raw) {
			r.looked, r.history = time.Time{}, "" // whatever it is by now, it was rewound
			r.rewind()
			return false, errFork
		}
	}
	r.caughtUp = len(list) < readMost
	return !r.caughtUp, nil
}

// absent is called if the log ended after what can be read of it. A node was asked that did
// not know yet that it is not the master any more, and the log is read again where it is
// now; or somebody has deleted entries, and what they said is not known.
func (r *reader) absent() {
	r.looked = time.Time{}
	if r.tail != r.gone {
		r.gone = r.tail
		r.rewind()
		return
	}
	r.hear(echomfa.StoreEvent{Kind: echomfa.Resumed})
	r.cursor, r.link, r.begun = r.tail, r.tail, true
}

// entry hears an entry, and reports whether the log still knows what was heard before.
// One that is not of this app, or by an instance with another secret, says nothing of
// that unless it goes on where this one is.
func (r *reader) entry(raw rueidis.XRangeEntry) (goesOn bool) {
	e, err := parseEntry(raw)
	event, unread := r.s.openEvent(e.event)
	if err != nil || unread != nil {
		r.s.rejectedEvents.Add(1)
		if err != nil {
			unread = errEvent
		}
		if e.at.after(r.from) { // an older one may be from before a rotation
			r.hear(echomfa.StoreEvent{Kind: echomfa.Unreadable, Cause: unread})
		}
		if r.cursor = e.at; err == nil && e.before == r.link {
			r.link = e.at
		}
		return true
	}
	switch {
	case !r.begun, e.before == r.link:
	case !e.before.after(r.link):
		return false
	default:
		r.hear(echomfa.StoreEvent{Kind: echomfa.Resumed})
	}
	r.hear(event)
	r.cursor, r.link, r.begun = e.at, e.at, true
	r.note(e.at)
	return true
}

// note remembers what was heard, for a while.
func (r *reader) note(at place) {
	if now := time.Now(); now.Sub(r.turned) > 10*time.Second {
		r.heardBefore, r.heard, r.turned = r.heard, make(map[place]bool), now
	}
	r.heard[at] = true
}

// look asks where the log is, and reports whether it has lost something.
func (r *reader) look(ctx context.Context, client rueidis.Client) (rewound bool, err error) {
	own, cancel := context.WithTimeout(ctx, r.s.options.ConnWriteTimeout)
	defer cancel()
	due, next := r.s.own.since(r.next)
	m, err := r.s.ask(own, client, r.s.looks)
	if err != nil {
		return false, fmt.Errorf("redisstore: look at the log: %w", err)
	}
	rewound = r.history != "" && m.history != r.history || r.link != m.at && !m.at.after(r.link)
	r.history, r.tail, r.looked = m.history, m.at, time.Now()
	if !r.placed {
		r.placed, r.from = true, m.at
	}
	if !r.caughtUp && r.due != nil {
		return rewound, nil // what is not heard may be yet to be read
	}
	for _, own := range r.due {
		rewound = rewound || own.history != m.history || !r.heard[own.at] && !r.heardBefore[own.at]
	}
	r.due, r.next, r.caughtUp = due, next, false
	return rewound, nil
}

// rewind begins with the log from the start. All that was acknowledged before is sent
// again, and need not be heard.
func (r *reader) rewind() {
	r.s.rewound.Add(1)
	r.due = nil
	_, r.next = r.s.own.since(r.next)
	r.hear(echomfa.StoreEvent{Kind: echomfa.Rewound})
	r.cursor, r.link, r.begun = place{}, place{}, false
}
