// Package redisstore is an [echomfa.Store] on Redis 7 or Valkey: instances of an
// app share the factor lists that GenAuth told them, and an invalidation on one
// of them takes effect on all.
//
//	store, err := redisstore.New(redisstore.Config{
//		Redis:   rueidis.ClientOption{InitAddress: []string{"redis.internal:6379"}},
//		Secrets: [][]byte{secret},
//	})
//
// # What Redis sees
//
// No token, no user id and no factor type. Keys are digests under a key derived
// from the secret, cut to 128 bits. Values and entries of the log are encrypted and
// authenticated by AES-256-GCM, values together with their key. What Redis can
// see is which tokens are one user's (by a digest), when they are asked for, and
// about how many factors there are.
//
// An attacker with write access to Redis, but without the secret, can delete entries,
// replay ones younger than FreshFor (the time of the call to GenAuth is inside), and
// suppress invalidations: the other instances then use what they know, for FreshFor at
// most. They cannot forge an enrollment, and cannot give one token's list to another.
//
// # Failure
//
// If Redis is away, slow, full, read-only or wrong, the call returns an error, which
// is a miss. [New] does not need Redis to be there: connections are made when
// they are needed. A call returns as soon as its context ends, and after 1.5 s at
// the latest: the timeouts of connecting and of an answer together. Nothing is tried twice.
//
// # The log
//
// An invalidation is a write in the slot of the user, and an entry of a log, which is a
// stream. If either fails, Delete and DeleteUser return an error, and the Enforcer tries
// again. Each instance reads the log by the ordinary client, so that it follows
// failovers, and no message crosses the bus of a cluster. Each entry names the one before
// it, and a key beside the stream names the history and its last entry: so a reader
// knows whether it has missed something, and whether Redis has lost something.
//
// # Generations
//
// A user, and a token that was invalidated, have a generation in Redis. Values
// count only under the user's generation of today, and a Set only if nothing was
// invalidated since its Get; that is compared inside Redis, in one step. If Redis
// loses a generation, by eviction or by a restart, what was kept under it counts
// as not found. A failover
// to a replica that lags brings back what the primary had forgotten within that lag:
// the log says so, and what is stored from before is not believed.
package redisstore
