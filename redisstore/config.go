package redisstore

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
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
	refreshGap   = 5 * time.Second
	maxMoved     = 5
	// minTimeout is what no call is faster than: a number without a unit is a
	// number of nanoseconds.
	minTimeout = time.Millisecond
)

// Config configures a [Store]. The zero value is invalid.
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
	// answer for so long is dead), the same holds for the dialer of the sentinels,
	// Sentinel.TopologyRefreshInterval is 5 s, ClusterOption.MaxMovedRedirections is 5,
	// and buffers are 32 KiB. Client-side caching
	// and retries are off whatever it says, and pipelining is on. Reading from
	// replicas (SendToReplicas, ReplicaOnly) is an error: they may not know yet
	// what was invalidated.
	Redis rueidis.ClientOption
	// Secrets key the names and encrypt the values, newest first. Each is at
	// least 32 random bytes. One is required; a second, older one is for the
	// time of a rotation: what is under it is still read, and invalidated, and
	// nothing is written under it. All instances of an app have the same.
	Secrets [][]byte
	// Prefix begins all keys, so that several apps can
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
	c.checkAddresses(mistake)
	if c.Redis.SendToReplicas != nil || c.Redis.ReplicaOnly || len(c.Redis.Standalone.ReplicaAddress) > 0 {
		mistake("Redis: reading from replicas would bring back what was invalidated")
	}
	if c.Redis.DisableAutoPipelining {
		mistake("Redis: DisableAutoPipelining is not supported")
	}
	if c.Redis.ConnWriteTimeout < 0 || c.Redis.Dialer.Timeout < 0 || c.Redis.Dialer.KeepAlive < 0 ||
		c.Redis.Sentinel.Dialer.Timeout < 0 || c.Redis.Sentinel.Dialer.KeepAlive < 0 || c.Redis.Sentinel.TopologyRefreshInterval < 0 {
		mistake("Redis: timeouts must not be negative: a dead connection would not be noticed")
	}
	for _, patience := range []time.Duration{c.Redis.ConnWriteTimeout, c.Redis.Dialer.Timeout} {
		if patience > 0 && patience < minTimeout {
			mistake("Redis: a timeout of %v is below %v: is the unit missing?", patience, minTimeout)
		}
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

// checkAddresses finds addresses by which every call would fail. It quotes none
// of them: they may hold a password.
func (c *Config) checkAddresses(mistake func(format string, args ...any)) {
	const want = `it must be host:port, such as "localhost:6379"`
	if len(c.Redis.InitAddress) == 0 {
		mistake("Redis: InitAddress: required, host:port at least once")
	}
	// A dial function of the app's own may take other addresses.
	own := c.Redis.DialCtxFn != nil || c.Redis.DialFn != nil
	for i, address := range c.Redis.InitAddress {
		host, port, err := net.SplitHostPort(address)
		number, notNumber := strconv.ParseUint(port, 10, 16)
		wrong := ""
		switch {
		case address == "":
			wrong = "it is empty"
		case strings.Contains(address, "://"):
			wrong = "it is a URL, of which rueidis.ParseURL makes a ClientOption"
		case slices.Contains(c.Redis.InitAddress[:i], address):
			wrong = "it is there twice"
		case own:
		case strings.Contains(address, "@"):
			wrong = "it has a user, who belongs in Username and Password"
		case err != nil, port == "":
			wrong = "it has no port"
		case notNumber != nil, number == 0:
			wrong = "its port is not a number of a port"
		case strings.ContainsFunc(host, notInHost):
			wrong = "its host is not a name or an address"
		}
		if wrong != "" {
			mistake("Redis: InitAddress[%d]: %s; %s", i, wrong, want)
		}
	}
}

// notInHost reports whether a character is in no host name and no IP address.
func notInHost(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || r > '9') && !strings.ContainsRune("-._:%", r)
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
	// The sentinels, too, can be silent, and one switch that was missed would bind the
	// client to the old master for good.
	o.Sentinel.Dialer.Timeout = cmp.Or(o.Sentinel.Dialer.Timeout, o.Dialer.Timeout)
	o.Sentinel.Dialer.KeepAlive = cmp.Or(o.Sentinel.Dialer.KeepAlive, o.Dialer.KeepAlive)
	o.Sentinel.TopologyRefreshInterval = cmp.Or(o.Sentinel.TopologyRefreshInterval, refreshGap)
	// A slot that is being moved, and a user without the right to ASKING, would send
	// a command back and forth until its time is over.
	o.ClusterOption.MaxMovedRedirections = cmp.Or(o.ClusterOption.MaxMovedRedirections, maxMoved)
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
