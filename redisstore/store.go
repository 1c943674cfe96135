package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/redis/rueidis"
)

// generationLife is how long a generation is remembered after the last write. No
// value outlives its own.
const generationLife = time.Hour

// ErrClosed is the error of calls after [Store.Close].
var ErrClosed = errors.New("redisstore: the store is closed")

// Store is an [echomfa.Store] on Redis or Valkey. Make one by [New]: the zero
// value panics. It may be used by several goroutines at once.
//
// It prints as "[redacted]": it holds secrets and passwords.
type Store struct {
	hidden

	// Behind a pointer: a struct of the app may hold the Store in an unexported
	// field, on which fmt calls no method, and with %s print what is one away.
	options *rueidis.ClientOption
	secrets []*secret // newest first
	set     *script
	appends *script
	looks   *script
	takes   *script
	own     acknowledged

	rejected       atomic.Uint64
	rejectedEvents atomic.Uint64
	rewound        atomic.Uint64

	mu      sync.Mutex
	client  rueidis.Client // nil while there is none
	dialing *dialing       // not nil while one is being made
	ended   chan struct{}  // closed by Close
	running sync.WaitGroup // calls and goroutines
}

// New returns a Store. It makes no connection. All mistakes of the configuration
// are returned at once, each with the name of its field.
func New(c Config) (*Store, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	prefix := c.Prefix
	if prefix == "" {
		prefix = DefaultPrefix
	}
	s := &Store{
		options: c.options(),
		set:     newScript(setScript),
		appends: newScript(appendScript),
		looks:   newScript(lookScript),
		takes:   newScript(takeScript),
		ended:   make(chan struct{}),
	}
	for _, raw := range c.Secrets {
		secret, err := newSecret(raw, prefix)
		if err != nil {
			return nil, fmt.Errorf("redisstore: Secrets: %w", err)
		}
		s.secrets = append(s.secrets, secret)
	}
	return s, nil
}

// Stats are counts since New.
type Stats struct {
	// Rejected is how many values counted as not found because they were not of
	// this app and key, damaged, or of an unknown format. More than a few mean that
	// somebody else writes to these keys, or that instances do not have the same
	// secrets.
	Rejected uint64
	// RejectedEvents is how many entries of the log were not of this app, or by an
	// instance with other secrets, those of before Watch among them.
	RejectedEvents uint64
	// Rewound is how often Redis has lost invalidations that it had acknowledged, or
	// may have.
	Rewound uint64
}

// Stats returns the counts so far.
func (s *Store) Stats() Stats {
	return Stats{Rejected: s.rejected.Load(), RejectedEvents: s.rejectedEvents.Load(), Rewound: s.rewound.Load()}
}

// read is what Redis has under the names of one token and one secret.
type read struct {
	names names
	value string
	ttl   time.Duration // of the value, negative if it has none
	bad   bool          // the value is not one of this app
	seen  seen
}

// Get returns the factor list of a token. Values that are not of this app and this key
// count as not found, and in [Stats].
func (s *Store) Get(ctx context.Context, key, user echomfa.StoreKey) (
	facts echomfa.StoredFacts, found bool, v echomfa.StoreVersion, err error,
) {
	reads, err := call(ctx, s, func(ctx context.Context, client rueidis.Client) ([]read, error) {
		return s.read(ctx, client, key, user)
	})
	if err != nil {
		return echomfa.StoredFacts{}, false, "", err
	}
	newest, other := reads[0], read{}
	if len(reads) > 1 {
		other = reads[1]
	}
	f, found := s.lookUp(s.secrets[0], &newest, &other)
	if !found && len(reads) > 1 {
		f, found = s.lookUp(s.secrets[1], &other, &newest)
	}
	v = version{newest.seen, other.seen.invalidated(), newest.bad}.String()
	if !found {
		return echomfa.StoredFacts{}, false, v, nil
	}
	return echomfa.StoredFacts{Key: key, User: user, Types: f.types, Asked: f.asked, Expires: f.expires}, true, v, nil
}

// read asks for value and generations under all secrets, in one round trip.
func (s *Store) read(ctx context.Context, client rueidis.Client, key, user echomfa.StoreKey) ([]read, error) {
	reads := make([]read, len(s.secrets))
	var commands rueidis.Commands
	for i, secret := range s.secrets {
		reads[i].names = secret.names(key, user)
		// The time first: a value that comes in between seems older, not younger.
		commands = append(commands, client.B().Pttl().Key(reads[i].names.value).Build(), client.B().Mget().Key(reads[i].names.all()...).Build())
	}
	results := client.DoMulti(ctx, commands...)
	for i := range reads {
		ttl, err := results[2*i].AsInt64()
		if err != nil {
			return nil, fmt.Errorf("redisstore: get: %w", err)
		}
		reads[i].ttl = time.Duration(ttl) * time.Millisecond
		values, err := results[2*i+1].ToArray()
		if err != nil {
			return nil, fmt.Errorf("redisstore: get: %w", err)
		}
		texts := make([]string, 3)
		for j := range min(len(values), len(texts)) {
			if !values[j].IsNil() {
				if texts[j], err = values[j].ToString(); err != nil {
					return nil, fmt.Errorf("redisstore: get: %w", err)
				}
			}
		}
		reads[i].value, reads[i].seen = texts[0], seen{texts[1], texts[2]}
		for _, generation := range []*string{&reads[i].seen.token, &reads[i].seen.user} {
			if *generation != "" && !isGeneration(*generation) {
				s.rejected.Add(1)
				reads[i].value, reads[i].bad, *generation = "", true, ""
			}
		}
	}
	return reads, nil
}

// lookUp returns the facts in what was read, if they still count. During a
// rotation some instances invalidate under one of the two secrets only. So facts
// say what their writer knew to be invalidated under the other one, and count
// only as long as that is all.
func (s *Store) lookUp(secret *secret, own, other *read) (plainFacts, bool) {
	if own.value == "" || own.ttl < -time.Millisecond { // it came after the time was asked for
		return plainFacts{}, false
	}
	generation, sealed, err := splitValue(own.value)
	var f plainFacts
	if err == nil { // Before the generation: another key's value is counted whatever its own is.
		f, err = openValue(secret, sealed, own.names.value, own.ttl, time.Now())
	}
	if err != nil {
		s.rejected.Add(1)
		own.bad = true
		return plainFacts{}, false
	}
	if generation != own.seen.user || (generation == "") != (own.names.user == "") {
		return plainFacts{}, false
	}
	if len(s.secrets) > 1 && f.other != other.seen.invalidated() {
		return plainFacts{}, false
	}
	return f, true
}

// setScript keeps a value, if the generations are those of the version, and the value
// that is there is not newer: that one is replaced only if it could not be read. A user
// without a generation gets one: then its loss makes what was kept under it
// unknown, and does not bring back what was forgotten. One that a Set has made
// since the Get says that nothing was invalidated in between. What needs memory
// comes first: a script that has written something may fill a Redis that is full.
const setScript = `
local token = redis.call('GET', KEYS[2]) or ''
if token ~= ARGV[1] then return 0 end
local user = ''
if KEYS[3] then
  user = redis.call('GET', KEYS[3]) or ''
  if user ~= ARGV[2] and not (ARGV[2] == '' and string.sub(user, 1, 1) == 's') then return 0 end
  if user == '' then
    user = ARGV[3]
    redis.call('SET', KEYS[3], user, 'PX', ARGV[6])
  end
end
local old = redis.call('GET', KEYS[1])
if old and ARGV[8] == '' and string.sub(old, 1, 2 + #user) == '\2' .. string.char(#user) .. user then
  local asked = tonumber(string.sub(old, 3 + #user, 18 + #user))
  if asked and asked > tonumber(ARGV[7]) then return 0 end
end
redis.call('SET', KEYS[1], '\2' .. string.char(#user) .. user .. ARGV[7] .. ARGV[4], 'PX', ARGV[5])
if KEYS[3] then redis.call('PEXPIRE', KEYS[3], ARGV[6]) end
return 1
`

// Set keeps a list for at most the given time, an hour at most, and not at all
// for less than a millisecond. It writes under the newest secret. It is an error
// if the version is not of a Store of this kind, or if there are more than 64
// types or one of more than 255 bytes.
func (s *Store) Set(ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
	at, err := parseVersion(v)
	if err != nil {
		return err
	}
	keep = min(keep, generationLife)
	f := plainFacts{
		asked: facts.Asked, expires: facts.Expires, age: max(0, time.Since(facts.Asked)), keep: keep,
		other: at.other, types: facts.Types,
	}
	plain, err := f.encode()
	if err != nil {
		return err
	}
	if keep < time.Millisecond {
		return nil
	}
	newest := s.secrets[0]
	n := newest.names(facts.Key, facts.User)
	sealed := newest.seal(plain, n.value)
	_, err = call(ctx, s, func(ctx context.Context, client rueidis.Client) (struct{}, error) {
		err := s.set.exec(ctx, client, n.all(), []string{
			at.newest.token, at.newest.user, newGeneration(bySet), string(sealed),
			milliseconds(keep), milliseconds(generationLife), microseconds(facts.Asked), at.unreadable(),
		}).Error()
		if err != nil {
			err = fmt.Errorf("redisstore: set: %w", err)
		}
		return struct{}{}, err
	})
	return err
}

// Delete forgets a token under all secrets, and tells all instances. If ctx ends
// meanwhile, it may still happen.
func (s *Store) Delete(ctx context.Context, key, user echomfa.StoreKey) error {
	return s.invalidate(ctx, echomfa.StoreEvent{Key: key}, func(client rueidis.Client) (commands rueidis.Commands) {
		for _, secret := range s.secrets {
			n := secret.names(key, user)
			// In this order: a Set in between is either too old for the new
			// generation, or deleted.
			commands = append(commands, setGeneration(client, n.token), client.B().Del().Key(n.value).Build())
		}
		return commands
	})
}

// DeleteUser forgets all tokens of a user under all secrets, and tells all
// instances. If ctx ends meanwhile, it may still happen.
func (s *Store) DeleteUser(ctx context.Context, user echomfa.StoreKey) error {
	return s.invalidate(ctx, echomfa.StoreEvent{User: user}, func(client rueidis.Client) (commands rueidis.Commands) {
		for _, secret := range s.secrets {
			name := secret.userName(user)
			// A Redis that is full still deletes, and what has no generation
			// does not count.
			commands = append(commands, client.B().Del().Key(name).Build(), setGeneration(client, name))
		}
		return commands
	})
}

func setGeneration(client rueidis.Client, name string) rueidis.Completed {
	return client.B().Set().Key(name).Value(newGeneration(byDelete)).PxMilliseconds(generationLife.Milliseconds()).Build()
}

// takeScript counts, and begins to count again when the time is over.
const takeScript = `
local taken = tonumber(redis.call('GET', KEYS[1]) or '0')
if not taken or taken >= tonumber(ARGV[1]) then return 0 end
if taken == 0 then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[2])
else
  redis.call('SET', KEYS[1], string.format('%.0f', taken + 1), 'KEEPTTL')
end
return 1
`

// Take counts for all instances: see [echomfa.StoreCounter]. The time of per is a
// millisecond at least. During a rotation of secrets, instances with another newest
// secret count for themselves.
func (s *Store) Take(ctx context.Context, name echomfa.StoreKey, limit int, per time.Duration) (bool, error) {
	return call(ctx, s, func(ctx context.Context, client rueidis.Client) (bool, error) {
		n, err := s.takes.exec(ctx, client, []string{s.secrets[0].countName(name)}, []string{
			strconv.Itoa(limit), milliseconds(max(per, time.Millisecond)),
		}).AsInt64()
		if err != nil {
			return false, fmt.Errorf("redisstore: take: %w", err)
		}
		return n == 1, nil
	})
}

// invalidate writes, and then tells: who hears of it must not find in Redis what
// was invalidated. They are told even if writing failed: what they know
// themselves is forgotten then.
func (s *Store) invalidate(ctx context.Context, event echomfa.StoreEvent, write func(rueidis.Client) rueidis.Commands) error {
	message := s.sealEvent(event)
	_, err := call(ctx, s, func(ctx context.Context, client rueidis.Client) (struct{}, error) {
		var errs []error
		for _, result := range client.DoMulti(ctx, write(client)...) {
			if err := result.Error(); err != nil {
				errs = append(errs, fmt.Errorf("redisstore: invalidate: %w", err))
				break // the others say the same
			}
		}
		if err := s.append(ctx, client, message); err != nil {
			errs = append(errs, fmt.Errorf("redisstore: tell of an invalidation: %w", err))
		}
		return struct{}{}, errors.Join(errs...)
	})
	return err
}
