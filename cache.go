package echomfa

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/echomfa/echomfa/client"
)

// CacheConfig says how long what GenAuth told is relied upon. The zero value
// is the default.
//
// GenAuth sends no event when a factor is enrolled or removed, so time is the
// mechanism, and it is asymmetric by decision: facts that satisfy a policy
// serve for FreshFor, facts that do not for DenyFreshFor only, so that a user
// who has just enrolled is let in. The same facts may do both at once, for two
// routes with different policies.
type CacheConfig struct {
	// Size is how many tokens' facts are kept, the least recently used going
	// first. Optional. Default 65,536, at about 165 bytes each.
	Size int
	// FreshFor is how old facts may be that let a request through, and so how
	// long a removed factor still serves. Each entry's own life is up to a
	// tenth shorter, so that entries made together do not end together.
	// Optional. Default 60 s, at most 5 minutes.
	FreshFor time.Duration
	// DenyFreshFor is how old facts may be that refuse a request. Optional.
	// Default 2 s; not above FreshFor.
	DenyFreshFor time.Duration
	// StaleIfError is how old facts may be that let a request through while
	// GenAuth cannot be asked. Optional. Default 0: off. Otherwise above
	// FreshFor and at most 5 minutes. A token that GenAuth refuses is never
	// let through on stale facts.
	StaleIfError time.Duration
	// RefusedFor is how long it is remembered that GenAuth refused a token.
	// Optional. Default 5 s, at most 1 minute.
	RefusedFor time.Duration
	// RefusedSize is how many refused tokens are remembered, apart from Size:
	// a flood of bad tokens evicts no good entry. Optional. Default a quarter
	// of Size.
	RefusedSize int
	// Store is a second tier that the instances of an app share: they ask
	// GenAuth together as often as one of them would, and Invalidate counts on
	// all. Optional. Package redisstore has one.
	Store Store
}

// Bounds on what one answer may put into the cache. A type or a number of
// types over them comes from no GenAuth that is documented: such facts are
// partial, and may allow but not refuse.
const (
	maxOtherTypes = 32
	maxTypeBytes  = 64
	maxShards     = 64
)

// facts are what GenAuth told about one token: types only, no profile.
type facts struct {
	enrolled FactorSet
	// partial: something was left out. Such facts may allow, since a policy
	// is monotone, but never refuse.
	partial bool
}

// entry is facts with their times. There are many: what can be computed is not
// kept, and times are kept without what [time.Time] has beside them.
type entry struct {
	enrolled FactorSet
	sent     moment // when GenAuth was asked
	user     uint64 // names the user of the token, or zero
	shared   uint64 // names the token to the Store, or zero
	expires  uint32 // the token's own exp in Unix seconds, or zero
	epoch    uint16 // of the cache, when the look-up began
	partial  bool
}

// age is counted from when GenAuth was asked, not from when it answered, and
// by the clock that says more: the monotonic one does not see a suspended
// machine, the wall clock may be set back.
func (c *cache) age(e *entry, now time.Time) time.Duration {
	at := c.moment(now)
	return time.Duration(max(at.monotonic-e.sent.monotonic, at.wall-e.sent.wall))
}

// moment is a time by both clocks, in nanoseconds: since the cache was made, and
// since 1970.
type moment struct{ monotonic, wall int64 }

func (c *cache) moment(t time.Time) moment {
	return moment{monotonic: int64(t.Sub(c.made)), wall: t.UnixNano()}
}

func elapsed(from, to time.Time) time.Duration {
	return max(to.Sub(from), to.Round(0).Sub(from.Round(0)))
}

// usable reports whether the token's own life has not ended.
func (e *entry) usable(now time.Time) bool {
	return e.expires == 0 || now.Unix() < int64(e.expires)
}

// refusal is the memory of a token that GenAuth or Verify refused.
type refusal struct {
	at  time.Time
	err error
}

// shard is a part of the cache with its own lock. The look-ups in flight live
// under the same lock as the entries: which look-up may store, and which may be
// joined, is one question.
type shard struct {
	mu      sync.Mutex
	entries *simplelru.LRU[cacheKey, entry]
	refused *simplelru.LRU[cacheKey, refusal]
	flights map[cacheKey]*flight
}

// cache keeps facts by token. Facts are kept, verdicts never: the policy is
// evaluated on every request.
type cache struct {
	rules  CacheConfig
	shards []shard
	made   time.Time
	*digester
	namespace string
	// epoch changes whenever something may have been invalidated unheard: what
	// was learned in an earlier one is asked for again.
	epoch atomic.Uint32
}

func newCache(rules CacheConfig, namespace string) *cache {
	c := &cache{rules: rules, made: time.Now(), digester: newDigester(namespace), namespace: namespace}
	n := 1
	for n < maxShards && rules.Size/(n*2) >= 64 && rules.RefusedSize/(n*2) >= 16 {
		n *= 2
	}
	c.shards = make([]shard, n)
	for i := range c.shards {
		s := &c.shards[i]
		s.entries = newLRU[entry](rules.Size / n)
		s.refused = newLRU[refusal](rules.RefusedSize / n)
		s.flights = make(map[cacheKey]*flight)
	}
	return c
}

func newLRU[V any](size int) *simplelru.LRU[cacheKey, V] {
	lru, err := simplelru.NewLRU[cacheKey, V](size, nil)
	if err != nil {
		panic(err) // the size was validated
	}
	return lru
}

func (c *cache) shard(k cacheKey) *shard {
	return &c.shards[int(k[0])&(len(c.shards)-1)]
}

// entry returns the usable entry under k, and reports whether there is one.
func (c *cache) entry(k cacheKey, now time.Time) (entry, bool) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entry(k, now)
}

func (s *shard) entry(k cacheKey, now time.Time) (entry, bool) {
	e, ok := s.entries.Get(k)
	return e, ok && e.usable(now)
}

// refusal returns why the token was refused within RefusedFor, or nil.
func (c *cache) refusal(k cacheKey, now time.Time) error {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.refused.Get(k)
	if !ok || elapsed(r.at, now) > c.rules.RefusedFor {
		return nil
	}
	return r.err
}

// store keeps what a look-up learned, if it is still the one that may, and reports
// whether it is.
func (s *shard) store(f *flight, e *entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[f.key] != f {
		return false // invalidated meanwhile: these may be the facts of before
	}
	s.refused.Remove(f.key)
	if e == nil {
		s.entries.Remove(f.key)
		return true
	}
	old, ok := s.entries.Peek(f.key)
	if ok && e.partial && !e.enrolled.contains(old.enrolled) {
		return true // what was left out may be what the older facts hold
	}
	s.entries.Add(f.key, *e)
	return true
}

// newer reports whether what is known was asked for after what a look-up found. A
// refusal counts also when it is not given any more.
func (s *shard) newer(f *flight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.refused.Peek(f.key); ok && r.at.UnixNano() > f.sent.UnixNano() {
		return true
	}
	e, ok := s.entries.Peek(f.key)
	return ok && e.sent.wall > f.sent.UnixNano()
}

// refuse drops what is known of a token and remembers that it was refused.
func (s *shard) refuse(f *flight, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[f.key] != f {
		return
	}
	s.entries.Remove(f.key)
	s.refused.Add(f.key, refusal{at: f.sent, err: remembered(err)})
}

// land takes a finished look-up out of the way of the next.
func (s *shard) land(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[f.key] == f {
		delete(s.flights, f.key)
	}
}

// invalidate forgets all about a key. A look-up under way is cut loose: it
// answers those who wait for it, but is neither joined nor stored.
func (c *cache) invalidate(k cacheKey) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(k)
}

func (s *shard) forget(k cacheKey) {
	s.entries.Remove(k)
	s.refused.Remove(k)
	delete(s.flights, k)
}

// invalidateUser forgets all keys of a user and reports whether there were any.
func (c *cache) invalidateUser(user uint64) bool {
	return c.invalidateShort(user, func(e *entry) uint64 { return e.user }, func(f *flight) uint64 { return f.user })
}

// invalidateShort forgets all keys whose entry or look-up has a name, and reports
// whether there were any. It walks the cache, one shard at a time: it is called
// when a user's factors change, not on every request.
func (c *cache) invalidateShort(name uint64, ofEntry func(*entry) uint64, ofFlight func(*flight) uint64) bool {
	found := false
	for i := range c.shards {
		found = c.shards[i].forgetNamed(name, ofEntry, ofFlight) || found
	}
	return found
}

func (s *shard) forgetNamed(name uint64, ofEntry func(*entry) uint64, ofFlight func(*flight) uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []cacheKey
	for _, k := range s.entries.Keys() {
		if e, ok := s.entries.Peek(k); ok && ofEntry(&e) == name {
			keys = append(keys, k)
		}
	}
	for k, f := range s.flights {
		if ofFlight(f) == name {
			keys = append(keys, k)
		}
	}
	for _, k := range keys {
		s.forget(k)
	}
	return len(keys) > 0
}

// size returns how many entries and refusals are kept.
func (c *cache) size() (entries, refused int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		entries += s.entries.Len()
		refused += s.refused.Len()
		s.mu.Unlock()
	}
	return entries, refused
}

// newEntry makes the entry of a look-up's facts.
func (c *cache) newEntry(f *flight, known facts) *entry {
	e := &entry{enrolled: known.enrolled, partial: known.partial, sent: c.moment(f.sent), user: f.user, epoch: f.epoch}
	if f.shared != (StoreKey{}) {
		e.shared = f.shared.short()
	}
	if !f.expires.IsZero() {
		e.expires = uint32(min(f.expires.Unix(), math.MaxUint32)) //nolint:gosec // it is not negative
	}
	return e
}

// current reports whether all that was invalidated since the facts were asked for
// has been heard.
func (c *cache) current(e *entry) bool {
	return e.epoch == uint16(c.epoch.Load()) //nolint:gosec // it may wrap around
}

// freshFor is the FreshFor of one key.
func (c *cache) freshFor(k cacheKey) time.Duration {
	return c.rules.FreshFor - jitter(k, c.rules.FreshFor/10)
}

// jitter returns a duration below limit, so that entries that were made
// together do not end together. The digest is as good as random and differs
// from process to process.
func jitter(k cacheKey, limit time.Duration) time.Duration {
	part := float64(binary.BigEndian.Uint16(k[8:])) / (1 << 16)
	return time.Duration(part * float64(limit))
}

// newFacts keeps of an answer what the cache may hold.
func newFacts(list []client.Factor, partial bool) facts {
	types := make([]FactorType, 0, len(list))
	for _, f := range list {
		if len(f.Type) == 0 || len(f.Type) > maxTypeBytes {
			partial = true
			continue
		}
		types = append(types, f.Type)
	}
	set := Factors(types...)
	if kept := set.Types(); len(kept) > maxOtherTypes {
		// The constants come first: they are not lost.
		set, partial = Factors(kept[:maxOtherTypes]...), true
	}
	return facts{enrolled: set, partial: partial}
}

// answer is what cached facts say to a request.
type answer uint8

const (
	answerAsk    answer = iota // nothing that could be relied upon: ask GenAuth
	answerAllow                // the policy is satisfied
	answerRefuse               // it is not
	answerFail                 // it is not, but something was left out
)

// rely is the freshness rule: what facts of an age say to a policy that they
// satisfy or do not.
func (c *cache) rely(k cacheKey, e *entry, satisfied bool, age time.Duration) answer {
	switch {
	case !c.current(e):
		return answerAsk
	case satisfied && age <= c.freshFor(k):
		return answerAllow
	case satisfied || age > c.rules.DenyFreshFor:
		return answerAsk
	case e.partial:
		return answerFail
	default:
		return answerRefuse
	}
}
