package echomfa

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/echomfa/echomfa/internal/digest"
)

// StoreKey names a token, or a user, to a [Store]: SHA-256 over the namespace and
// the whole token, or the user id. It is not keyed. A Store must not let it out
// of the process as it is: see [Store].
type StoreKey [32]byte

// storeKey names a token, or a user, to a Store. The parts have their length
// before them, and the kind, so that no token is taken for a user.
func storeKey(kind, namespace, name string) StoreKey {
	return sha256.Sum256(digest.AppendPart(digest.AppendPart(digest.AppendPart(nil, kind), namespace), name))
}

func tokenKey(namespace, token string) StoreKey { return storeKey("token", namespace, token) }

// userKey names the user of a token; zero stands for none.
func userKey(namespace, subject string) StoreKey {
	if subject == "" {
		return StoreKey{}
	}
	return storeKey("user", namespace, subject)
}

// short is the part of a key by which its tombstone is found.
func (k StoreKey) short() uint64 { return binary.BigEndian.Uint64(k[:]) }

// StoredFacts are what GenAuth told about one token. They hold no token, no
// profile and no verdict.
type StoredFacts struct {
	// Key is the token that they belong to. Facts that come back under another
	// key count as not found.
	Key StoreKey
	// User is the user of the token, or zero if the token names nobody.
	User StoreKey
	// Types are the enrolled types. Partial lists are never stored.
	Types []FactorType
	// Asked is when GenAuth was asked, by the clock of the instance that asked.
	// Facts count their age from then, and facts of the future count as not
	// found.
	Asked time.Time
	// Expires is when the token ends, or zero if that is not known.
	Expires time.Time
}

// StoreVersion is what [Store.Get] has seen of the invalidations of a key and its
// user. It means nothing but to the Store that made it.
type StoreVersion string

// StoreEvent is news of a [Store].
type StoreEvent struct {
	// Key or User is what an instance has invalidated.
	Key, User StoreKey
	// Resumed says that the Store is heard again after it was not: what was
	// invalidated in between is not known, and all facts from before have to be
	// asked for again.
	Resumed bool
}

// Store is a second tier of the cache, shared by the instances of an app, so that
// they ask GenAuth as often as one of them would, and an invalidation on one of
// them counts on all. Package redisstore has one for Redis and Valkey; package
// storetest tests any.
//
// It may be called by several goroutines at once. Every call but Watch returns
// soon after ctx ends. An error is a miss to the Enforcer, and never opens a
// door.
//
// What a Store sends out of the process must tell nothing about tokens, and what
// comes back must be known to be its own: keys are digests under a secret, and
// values are authenticated together with their key.
type Store interface {
	// Get returns the facts of a token, and reports whether there are any: none
	// is no error. User is zero if the token names nobody. The version is for a
	// Set that follows.
	Get(ctx context.Context, key, user StoreKey) (facts StoredFacts, found bool, version StoreVersion, err error)
	// Set keeps facts for at most the given time, but not if their key or user
	// has been invalidated since version was got. That is no error.
	Set(ctx context.Context, facts StoredFacts, version StoreVersion, keep time.Duration) error
	// Delete forgets a token and tells all instances, also where nothing was
	// known of it.
	Delete(ctx context.Context, key, user StoreKey) error
	// DeleteUser forgets all tokens of a user and tells all instances, also
	// where nothing was known of them.
	DeleteUser(ctx context.Context, user StoreKey) error
	// Watch calls hear for the invalidations of all instances, this one among
	// them, one at a time, until ctx ends. It returns nil then, and an error
	// only if it cannot watch at all; a connection that breaks is made anew.
	Watch(ctx context.Context, hear func(StoreEvent)) error
}
