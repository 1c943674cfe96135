package echomfa

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/digest"
	"github.com/echomfa/echomfa/internal/urlpath"
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

// StoredFacts are the factor list of one token, as GenAuth told it. They hold no
// token, no profile and no decision.
type StoredFacts struct {
	// Key is the token that the list belongs to. A list that comes back under
	// another key counts as not found.
	Key StoreKey
	// User is the user of the token, or zero if the token names nobody.
	User StoreKey
	// Types are the enrolled types. Partial lists are never stored.
	Types []FactorType
	// Asked is when GenAuth was asked, by the clock of the instance that asked.
	// The age of the list counts from then. A list dated more than 2 s ahead
	// counts as not found.
	Asked time.Time
	// Expires is when the token ends, or zero if that is not known.
	Expires time.Time
}

// StoreVersion is what [Store.Get] has seen of the invalidations of a key and its
// user. Only the Store that made it can read it.
type StoreVersion string

// StoreEvent is what a [Store] tells.
type StoreEvent struct {
	// Key or User is what an instance has invalidated.
	Key, User StoreKey
	// Kind says what has happened. The zero Kind is Invalidated.
	Kind StoreEventKind
	// Cause is why, in an event that is Deaf or Unreadable. Optional.
	Cause error
}

// StoreEventKind is what a [StoreEvent] says. One that is not listed here counts as
// Rewound and Resumed together, and so does Invalidated without a Key and a User.
type StoreEventKind uint8

const (
	// Invalidated says that a token or a user has been invalidated.
	Invalidated StoreEventKind = iota
	// Hearing says that everything has been told that was acknowledged before the
	// round of listening which has just ended. A Store says it at least twice a second
	// while that is so. Until it says so, and when it has not for a second, stored lists
	// are not believed.
	Hearing
	// Deaf says that a round of listening has failed, and why.
	Deaf
	// Rewound says that the Store has lost some of what it had: invalidations that it
	// acknowledged and did not tell may be lost, and lists from before them may be back.
	// What it still knows to be invalidated is told after it. Cached lists stay, stored
	// ones from before are not believed, and each instance sends its own
	// invalidations again.
	Rewound
	// Resumed says that invalidations were missed, and that the Store has not forgotten
	// them: lists from before are looked up again, and those in the Store are believed.
	Resumed
	// Unreadable says that the Store was told of something that it cannot read, such as
	// an invalidation by an instance with another secret. It is counted and logged, with
	// the Cause: nothing is known to be invalidated by it.
	Unreadable
)

// Store is a second tier of the cache, shared by the instances of an app, so that
// they ask GenAuth as often as one of them would, and an invalidation on one of
// them takes effect on all. Package redisstore has one for Redis and Valkey; package
// storetest tests any.
//
// It may be called by several goroutines at once. Every call but Watch returns
// soon after ctx ends. An error is a miss to the Enforcer: it never lets a request
// through.
//
// What a Store sends out of the process must reveal nothing about tokens, and it must
// be able to tell its own values from others: keys are digests under a secret, and
// values are authenticated together with their key.
type Store interface {
	// Get returns the factor list of a token, and reports whether there is one: none
	// is not an error. User is zero if the token names nobody. The version is for a
	// Set that follows.
	Get(ctx context.Context, key, user StoreKey) (facts StoredFacts, found bool, version StoreVersion, err error)
	// Set keeps a list for at most the given time, but not if its key or user
	// has been invalidated since version was got, and not in place of a list that
	// was asked for later. Neither is an error.
	Set(ctx context.Context, facts StoredFacts, version StoreVersion, keep time.Duration) error
	// Delete forgets a token and tells all instances, also where nothing was
	// known of it, and each time. If it returns nil, the Store has done so: each
	// Watch is told, also one that begins in the next 6 minutes.
	Delete(ctx context.Context, key, user StoreKey) error
	// DeleteUser forgets all tokens of a user and tells all instances, also
	// where nothing was known of them.
	DeleteUser(ctx context.Context, user StoreKey) error
	// Watch calls hear for the invalidations of all instances, this one among
	// them, one at a time, until ctx ends. It returns nil then, and an error
	// only if it cannot watch at all; a connection that breaks is replaced.
	//
	// It begins with all that was invalidated in the last 6 minutes, or says Resumed
	// if it does not know. Then it says Hearing, and again at least twice a second.
	// After a connection was lost it goes on where it was.
	Watch(ctx context.Context, hear func(StoreEvent)) error
}

// StoreCounter is a [Store] that counts for all instances. It is optional.
type StoreCounter interface {
	// Take counts one more event of a name, and reports whether it is within limit. The
	// first Take of a name begins a window of the length per, after which counting starts
	// again. Nothing is within a limit below 1. After an error that is not known, and the
	// caller's own limit applies.
	Take(ctx context.Context, name StoreKey, limit int, per time.Duration) (bool, error)
}

// isNil reports whether an interface holds a nil pointer or function, which
// would pass a comparison with nil and panic on the first request.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Interface:
		return r.IsNil()
	default:
		return false
	}
}

// prepareSource settles whose lists these are.
func (c *Config) prepareSource() error {
	genauth, isClient := c.Client.(*client.Client)
	var errs []error
	switch {
	case c.Client == nil || isNil(c.Client):
		return errors.New("echomfa: Client: required")
	case isClient:
		// A Client that was not made by New has no app id and fails each call.
		if genauth.AppID() == "" {
			errs = append(errs, errors.New("echomfa: Client: not made by client.New"))
		}
		if len(c.Audience) == 0 && genauth.AppID() != "" {
			c.Audience = []string{genauth.AppID()}
		}
		parts := digest.AppendPart(digest.AppendPart(nil, genauth.BaseURL()), genauth.AppID())
		c.Namespace = string(digest.AppendPart(parts, c.Namespace))
	default:
		if c.Namespace == "" {
			errs = append(errs, errors.New("echomfa: Namespace: required with a Client that is not a *client.Client"))
		}
		if len(c.Audience) == 0 && !c.InsecureAnyAudience {
			errs = append(errs, errors.New("echomfa: Audience: required with a Client that is not a *client.Client"))
		}
	}
	for _, audience := range c.Audience {
		if audience == "" {
			errs = append(errs, errors.New("echomfa: Audience: holds an empty string"))
		} else if strings.TrimSpace(audience) != audience || urlpath.HasControl(audience) {
			errs = append(errs, fmt.Errorf("echomfa: Audience: %q starts or ends with a space, or has a control character", audience))
		}
	}
	return errors.Join(errs...)
}
