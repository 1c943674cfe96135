package echomfa

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/echomfa/echomfa/internal/breaker"
	"github.com/echomfa/echomfa/internal/digest"
	"github.com/echomfa/echomfa/internal/typelists"
)

// facts are what GenAuth told about one token: types only, no profile.
type facts struct {
	enrolled FactorSet
	// partial: something was left out. Such facts may allow, since a policy
	// is monotone, but never refuse.
	partial bool
}

// reading is what is known of the factors of one token, and from where. The zero
// reading is: unknown.
type reading struct {
	known bool
	facts
	source Source
	age    time.Duration // since GenAuth was asked
	err    error         // why it is unknown: a *TokenError if the token was rejected
	// version is what the Store has seen of invalidations, for a Set that
	// follows, or nil.
	version *StoreVersion
	// graves and expires are those of the token, if the cache knows it: what a
	// question about it needs, without reading its claims again.
	graves  graves
	expires uint32
}

// need is which lookup a request needs: the more is known, the more it is worth.
type need uint8

const (
	nothing need = iota // what is known answers the request
	renewal             // facts that satisfy the policy are too old
	recheck             // facts that do not satisfy it are too old
	cold                // nothing is known of the token
)

// entry is what the cache keeps of one token. There are many: what can be computed
// is not kept, and without pointers the garbage collector has nothing to follow. With
// its key and golang-lru's list it takes 96 bytes.
type entry struct {
	sent    int64  // when GenAuth was asked: the monotonic part of a moment
	expires uint32 // the token's own exp in Unix seconds, or zero
	epoch   uint16 // of the cache, when the lookup began
	named   uint16 // bits of the types that have a constant
	packed  uint64 // see pack
}

// How many bits of entry.packed hold the numbers of the graves, and which hold what. The
// number of the list of types that have no constant has those that are left.
const (
	graveBits  = 24
	partialBit = 1 << (2 * graveBits)
	storedBit  = partialBit << 1 // another instance asked, by its own clock
	othersAt   = 2*graveBits + 2
)

// The numbers fit: these do not compile otherwise.
const (
	_ = uint(1<<(64-othersAt) - 1 - typelists.Most)
	_ = uint(1<<graveBits - 1 - maxTombstones)
	_ = uint(16 - namedBits)
)

func pack(g graves, partial, stored bool, others uint32) uint64 {
	packed := uint64(g.token) | uint64(g.user)<<graveBits | uint64(others)<<othersAt
	if partial {
		packed |= partialBit
	}
	if stored {
		packed |= storedBit
	}
	return packed
}

func (e *entry) graves() graves {
	const all = 1<<graveBits - 1
	return graves{token: uint32(e.packed & all), user: uint32(e.packed >> graveBits & all)}
}

func (e *entry) partial() bool  { return e.packed&partialBit != 0 }
func (e *entry) stored() bool   { return e.packed&storedBit != 0 }
func (e *entry) others() uint32 { return uint32(e.packed >> othersAt) } // what is left of 64 bits

// age returns how old the facts are.
func (e *entry) age(now moment) time.Duration { return moment{monotonic: e.sent}.age(now) }

// dead reports whether the facts have been invalidated.
func (c *cache) dead(e *entry) bool {
	return c.buried(e.graves(), moment{monotonic: e.sent}, e.stored())
}

// refusal is the memory of a token that GenAuth or CheckToken refused, or whose lookups
// fail. It may be both: the refusal is then too old to answer a request.
type refusal struct {
	at     moment
	graves graves
	epoch  uint16
	err    error // nil if the token was not refused
	// failures are those of its lookups, at a moment and in an epoch of their own.
	failures breaker.Memory
	failed   breaker.Stamp
}

// shard is a part of the cache with its own lock. The lookups under way live under
// the same lock as the entries: which lookup may store, and which may be joined, is
// one question.
type shard struct {
	mu      sync.Mutex
	entries *simplelru.LRU[digest.Key, entry]
	refused *simplelru.LRU[digest.Key, refusal]
	flights [tables]map[digest.Key]*flight // by source
	hits    uint64                         // reads that had the answer
}

// cache keeps facts by token. Facts are kept, decisions never: the policy is
// evaluated on every request.
type cache struct {
	rules CacheConfig
	keys  *digest.Keyer
	clock
	tombstones
	shards []shard
	lists  typelists.Table // of the types that have no constant
	met    breaker.Known   // the tokens of which there have been facts
	// epoch changes whenever something may have been invalidated unheard: what
	// was learned in an earlier one is asked for again.
	epoch atomic.Uint32
	// unheard reports that the Store is not heard, so that facts which satisfy are
	// relied upon for DenyFreshFor only. Nil if it need not be heard.
	unheard func() bool
}

// A shard that is too small evicts what is in use.
const (
	maxShards       = 64
	minShardSize    = 64
	minShardRefused = 16
)

func newCache(rules CacheConfig, namespace string) *cache {
	c := &cache{rules: rules, keys: digest.New(namespace), tombstones: newTombstones(rules.Size), met: breaker.NewKnown(rules.Size)}
	c.start()
	n := 1
	for n < maxShards && rules.Size/(n*2) >= minShardSize && rules.RefusedSize/(n*2) >= minShardRefused {
		n *= 2
	}
	c.shards = make([]shard, n)
	for i := range c.shards {
		s := &c.shards[i]
		s.entries = newLRU[entry](rules.Size / n)
		s.refused = newLRU[refusal](rules.RefusedSize / n)
		for table := range s.flights {
			s.flights[table] = make(map[digest.Key]*flight)
		}
	}
	return c
}

func newLRU[V any](size int) *simplelru.LRU[digest.Key, V] {
	kept, err := simplelru.NewLRU[digest.Key, V](size, nil)
	if err != nil {
		panic(err) // the size was validated
	}
	return kept
}

func (c *cache) shard(k digest.Key) *shard { return &c.shards[int(k[0])&(len(c.shards)-1)] }

// read fills in what the cache says of a token to a policy, and returns which lookup
// is needed. An unknown reading with an error is a token that was refused.
func (c *cache) read(k digest.Key, p Policy, now moment, r *reading) need {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := c.readLocked(s, k, p, now, r)
	if n == nothing {
		s.hits++
	}
	return n
}

// readLocked is read for a caller that holds s.mu.
func (c *cache) readLocked(s *shard, k digest.Key, p Policy, now moment, out *reading) need {
	e, ok := s.entries.Get(k)
	if ok && c.usable(&e, now) {
		out.known, out.facts, out.source = true, c.factsOf(&e), Cached
		out.age, out.graves, out.expires = e.age(now), e.graves(), e.expires
		return c.weigh(k, p, out, e.epoch)
	}
	if ok {
		s.entries.Remove(k)
	}
	if r, ok := s.refused.Get(k); ok && r.err != nil && r.epoch == c.epochNow() && r.at.age(now) <= c.rules.RefusedFor && !c.buried(r.graves, r.at, false) {
		out.err = r.err
		return nothing
	}
	return cold
}

// weigh is the freshness rule, the only one: it says which lookup facts need
// before they answer a request.
func (c *cache) weigh(k digest.Key, p Policy, r *reading, epoch uint16) need {
	allows := r.judge(p) == satisfied
	switch {
	case epoch == c.epochNow() && allows && r.age <= c.freshFor(k):
		return nothing
	case epoch == c.epochNow() && !allows && r.age <= c.rules.DenyFreshFor:
		return nothing
	case allows:
		return renewal
	default:
		return recheck
	}
}

// standIn returns the facts by which a request may go on although the lookup that
// it needs has failed: facts that satisfy the policy and are at most StaleIfError
// old. What was invalidated does not stand in, and neither does what may have been
// invalidated unheard.
func (c *cache) standIn(k digest.Key, p Policy, now moment) (reading, bool) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries.Peek(k)
	if !ok || !c.usable(&e, now) || e.epoch != c.epochNow() {
		return reading{}, false
	}
	r := reading{known: true, facts: c.factsOf(&e), source: Stale, age: e.age(now)}
	if r.age <= c.freshFor(k) { // another request has learned it meanwhile
		r.source = Cached
	}
	heard := c.unheard == nil || !c.unheard()
	return r, r.judge(p) == satisfied && (r.source == Cached || heard && r.age <= c.rules.StaleIfError)
}

// last reports whether a token was accepted, by facts of whatever age. The error is why
// its user must not go on: the facts lack what the policy asks for, or the token was
// refused, however long ago. An invalidation does not make a refused token good.
func (c *cache) last(k digest.Key, p Policy, now moment) (accepted bool, err error) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries.Peek(k); ok && c.usable(&e, now) {
		r := reading{known: true, facts: c.factsOf(&e)}
		if r.judge(p) == missing {
			return true, errLacks
		}
		return true, nil
	}
	if r, ok := s.refused.Peek(k); ok && r.err != nil {
		return false, r.err
	}
	return false, nil
}

// usable reports whether the token's own life has not ended, and the entry has not
// been invalidated.
func (c *cache) usable(e *entry, now moment) bool {
	return (e.expires == 0 || now.wall < int64(e.expires)*int64(time.Second)) && !c.dead(e)
}

func (c *cache) factsOf(e *entry) facts {
	return facts{enrolled: FactorSet{bits: uint32(e.named), rest: c.lists.Get(e.others())}, partial: e.partial()}
}

func (c *cache) epochNow() uint16 { return uint16(c.epoch.Load()) } //nolint:gosec // it may wrap around

// keep stores what a flight learned. The shard's lock is held.
func (c *cache) keep(s *shard, f *flight) {
	s.refused.Remove(f.q.key)
	c.met.Add(f.q.key)
	others, ok := c.lists.Number(f.enrolled.rest)
	if !f.q.keep || !ok {
		s.entries.Remove(f.q.key)
		return
	}
	if old, ok := s.entries.Peek(f.q.key); ok && f.partial && !f.enrolled.contains(c.factsOf(&old).enrolled) {
		return // what was left out may be what the older facts hold
	}
	e := entry{
		sent: f.sent.monotonic, epoch: f.epoch, named: uint16(f.enrolled.bits), //nolint:gosec // namedBits of them
		packed: pack(f.q.graves, f.partial, f.stored, others),
	}
	if !f.q.expires.IsZero() {
		e.expires = uint32(min(f.q.expires.Unix(), math.MaxUint32)) //nolint:gosec // it is not negative
	}
	s.entries.Add(f.q.key, e)
}

// refuse drops what is known of a token and remembers that it was refused. The
// shard's lock is held.
func (c *cache) refuse(s *shard, f *flight, err error) {
	s.entries.Remove(f.q.key)
	s.refused.Add(f.q.key, refusal{at: f.sent, graves: f.q.graves, epoch: f.epoch, err: remembered(err)})
}

// newer reports whether this instance knows something that was asked for after the
// facts of f. A refusal counts also when it is not given any more. The shard's lock
// is held.
func (c *cache) newer(s *shard, f *flight) bool {
	if r, ok := s.refused.Peek(f.q.key); ok && r.err != nil && !c.buried(r.graves, r.at, false) && r.at.monotonic > f.sent.monotonic {
		return true
	}
	e, ok := s.entries.Peek(f.q.key)
	return ok && !c.dead(&e) && e.sent > f.sent.monotonic
}

// freshFor is the FreshFor of one key: up to a tenth shorter, so that entries that
// were made together do not end together.
func (c *cache) freshFor(k digest.Key) time.Duration {
	if c.unheard != nil && c.unheard() {
		return c.rules.DenyFreshFor
	}
	return c.rules.FreshFor - jitter(k, c.rules.FreshFor/10)
}

// jitter returns a duration below limit. A key is as good as random, and differs
// from process to process.
func jitter(k digest.Key, limit time.Duration) time.Duration {
	part := float64(binary.BigEndian.Uint16(k[8:])) / (1 << 16)
	return time.Duration(part * float64(limit))
}
