package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// DefaultPrefix is what names in Redis begin with, unless Config says otherwise.
const DefaultPrefix = "echomfa"

const (
	// minSecretBytes is what HMAC-SHA-256 and AES-256 are worth.
	minSecretBytes = 32
	maxSecrets     = 2
	maxPrefixBytes = 128
)

// Defaults for what Config.Redis leaves at zero. A dead connection is noticed by
// a ping without an answer: after dialTimeout at the latest if nobody asks.
const (
	dialTimeout  = time.Second
	pingGap      = 300 * time.Millisecond
	replyTimeout = 500 * time.Millisecond
	bufferBytes  = 32 << 10
)

// Config configures a [Store]. The zero value is refused.
//
// It prints as "[redacted]": it holds secrets and passwords.
type Config struct {
	hidden

	// Redis says how to reach Redis or Valkey: addresses, TLS, user and
	// password, cluster or sentinels. InitAddress is required. The Store makes
	// clients of its own from it and closes them.
	//
	// Where it is zero, Dialer.Timeout is 1 s, Dialer.KeepAlive 300 ms (a ping
	// on an idle connection), ConnWriteTimeout 500 ms (a peer that does not
	// answer for so long is dead) and buffers are 32 KiB. Client-side caching
	// and retries are off whatever it says, and pipelining is on. Reading from
	// replicas (SendToReplicas, ReplicaOnly) is refused: they may not know yet
	// what was invalidated.
	Redis rueidis.ClientOption
	// Secrets key the names and encrypt the values, newest first. Each is at
	// least 32 random bytes. One is required; a second, older one is for the
	// time of a rotation: what is under it is still read, and invalidated, and
	// nothing is written under it. All instances of an app have the same.
	Secrets [][]byte
	// Prefix begins all keys and the channel's name, so that several apps can
	// share a Redis. It is of ASCII letters, digits and the characters "-_.:/".
	// Optional. Default "echomfa".
	Prefix string
}

// validate returns all mistakes, each with the name of its field.
func (c *Config) validate() error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("redisstore: "+format, args...))
	}
	if len(c.Redis.InitAddress) == 0 || slices.Contains(c.Redis.InitAddress, "") {
		mistake("Redis: InitAddress must name at least one address, and no empty one")
	}
	if c.Redis.SendToReplicas != nil || c.Redis.ReplicaOnly || len(c.Redis.Standalone.ReplicaAddress) > 0 {
		mistake("Redis: reading from replicas would bring back what was invalidated")
	}
	if c.Redis.DisableAutoPipelining {
		mistake("Redis: DisableAutoPipelining is not supported")
	}
	if c.Redis.ConnWriteTimeout < 0 || c.Redis.Dialer.Timeout < 0 || c.Redis.Dialer.KeepAlive < 0 {
		mistake("Redis: timeouts must not be negative: a dead connection would not be noticed")
	}
	if c.Redis.PipelineMultiplex > rueidis.MaxPipelineMultiplex {
		mistake("Redis: PipelineMultiplex must be at most %d", rueidis.MaxPipelineMultiplex)
	}
	if n := len(c.Secrets); n == 0 || n > maxSecrets {
		mistake("Secrets: there must be one, or two during a rotation, not %d", n)
	}
	for i, secret := range c.Secrets {
		if len(secret) < minSecretBytes {
			mistake("Secrets[%d]: %d bytes are too few, there must be at least %d", i, len(secret), minSecretBytes)
		}
		if i > 0 && string(secret) == string(c.Secrets[0]) {
			mistake("Secrets[%d]: the same as the first", i)
		}
	}
	if len(c.Prefix) > maxPrefixBytes || strings.ContainsFunc(c.Prefix, foreign) {
		mistake("Prefix: %q must be at most %d ASCII letters, digits and the characters \"-_.:/\"", c.Prefix, maxPrefixBytes)
	}
	return errors.Join(mistakes...)
}

// foreign reports whether a character may not be in a Prefix. Braces would be the
// hash tag of a cluster.
func foreign(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:/", r)
}

// options returns the client's options with the defaults.
func (c *Config) options() *rueidis.ClientOption {
	o := c.Redis
	o.InitAddress = slices.Clone(o.InitAddress)
	o.Dialer.Timeout = cmp.Or(o.Dialer.Timeout, dialTimeout)
	o.Dialer.KeepAlive = cmp.Or(o.Dialer.KeepAlive, pingGap)
	o.ConnWriteTimeout = cmp.Or(o.ConnWriteTimeout, replyTimeout)
	o.ReadBufferEachConn = cmp.Or(o.ReadBufferEachConn, bufferBytes)
	o.WriteBufferEachConn = cmp.Or(o.WriteBufferEachConn, bufferBytes)
	o.DisableCache = true
	// Who waits for a retry waits for Redis to come back; the Enforcer would
	// rather ask GenAuth.
	o.DisableRetry = true
	// A call that is given up leaves its connection as it is: its answer is read
	// by the reader of the connection, in its turn. Without this, a deadline
	// would close the connection under all others.
	o.AlwaysPipelining = true
	return &o
}
