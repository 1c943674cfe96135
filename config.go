package echomfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
)

// Config configures an [Enforcer]. Client is required; every other field has a
// default that is safe. It is copied: later changes have no effect. It prints as
// "[redacted]": it may hold a key, and its Client and its Store may hold secrets.
type Config struct {
	secret

	// Client asks GenAuth which factors a user has enrolled. Required;
	// usually a [*client.Client]. With any other lister, Namespace and
	// Audience are required too.
	Client FactorLister

	// TokenLookup is where the access token is: "header:Name:Prefix" or
	// "cookie:name". One source, and no other is read: the token that is
	// checked must be the one that the handler uses. Optional. Default
	// "header:Authorization:Bearer ".
	TokenLookup string
	// Token reads the token instead of TokenLookup, and is the only way to
	// combine sources. "" or an error matching ErrUnauthenticated means that
	// the request carries none: 401. A [*TokenError] is answered as it says.
	// Every other error is a 500. Optional.
	Token func(r *http.Request) (string, error)
	// CheckToken checks a token beyond what GenAuth says of it, such as its
	// signature. It is called before a token's factor list is cached, and again
	// only when the token is unknown again, within Lookup.Timeout. Where
	// OnUnavailable is InsecureAllow it has as long once more after a lookup that failed.
	// Optional. Its errors are answered by
	//   - 503: ErrUnavailable, the client's classes but ErrUnauthenticated, network, end of ctx
	//   - 401: every other error
	CheckToken func(ctx context.Context, token string) error
	// MaxTokenBytes is the length of the longest token that is taken: a longer one is
	// a 401. Set it to what everything on the way to GenAuth lets through: a stock
	// nginx refuses tokens just under 8 KiB, as a request that cannot succeed.
	// Optional. Default and limit [client.MaxTokenBytes], 8 KiB; at least 16.
	MaxTokenBytes int
	// Audience lists what the aud claim of a JWT may hold; one of them must be
	// there. Optional with a [*client.Client]: its app id.
	Audience []string
	// InsecureAnyAudience accepts tokens that GenAuth issued to any other app.
	InsecureAnyAudience bool
	// AllowDelegated accepts JWTs with an act claim (RFC 8693, section 4.1): somebody
	// else, such as a support agent or a service, acts with the token for its user. The
	// factors that are checked are those of the user, the sub, and nothing says what the
	// one who acts has enrolled. The pages of package enroll refuse such a token. Optional.
	// By default it is a 401.
	AllowDelegated bool
	// Namespace keeps the cached lists of one Client apart from those of another.
	// Optional with a [*client.Client], whose base URL and app id are always
	// part of it.
	Namespace string
	// OnUnavailable says what happens to a request in an enforcing mount while lookups
	// fail. Optional. Default Refuse. [Enforcer.SetOnUnavailable] changes it for a while.
	OnUnavailable OnUnavailable
	// Realm is the protection space that a 401 names. Optional. Default "mfa".
	Realm string

	// EnrollURL is where browsers go to enroll: an absolute URL, or a path as
	// this app registers it, without the path of ReturnTo.BaseURL. It must not be
	// guarded itself, which is logged at Error once a request is refused there.
	// Optional. Default: a 403 and no redirect.
	EnrollURL string
	// LoginURL is where browsers without a good token go, written as EnrollURL.
	// It must not be guarded itself either. A browser that follows a link sends
	// cookies, and no Authorization header: without a proxy that sets one, a
	// LoginURL needs the token in a cookie, or the browser comes back to it
	// without end.
	// Optional. Default: a 401 and no redirect.
	LoginURL string
	// ReturnTo is how those pages learn where the browser came from. Optional.
	ReturnTo ReturnToConfig
	// RefusalPage makes the page for a browser that is refused and not sent on, in the
	// app's looks and the user's language; package enroll has one. The status and the
	// headers are not its own. If it fails or panics, which is logged at Error, the
	// built-in page is shown. Optional. Default: that page, in English.
	RefusalPage func(r *http.Request, refusal Refusal) (RefusalPage, error)

	// Cache says how long factor lists are used. Optional.
	Cache CacheConfig
	// Lookup bounds what asking GenAuth may cost. Optional.
	Lookup LookupConfig

	// Logger gets one line for each refusal, see docs/log.schema.md. Optional.
	// Default: nothing is logged.
	Logger *slog.Logger
	// UserRefKey lets you find a user's refusals: they have a user_ref, which [UserRef]
	// computes from the user's id, in the log line, in the answer, and as
	// [Decision].UserRef. Give all instances the same random bytes, at least 16, from
	// where secrets are kept. A user_ref is pseudonymous personal data: keep log lines no
	// longer than you may.
	// Optional. Default: refusals name no user.
	UserRefKey []byte
	// Observer is told every decision, for metrics and audits. Optional.
	Observer Observer
	// KeepDecision lets handlers read the decision by [DecisionFrom]. It costs
	// each request a few allocations.
	KeepDecision bool
}

// CacheConfig says how long a factor list is used. The zero value is the default.
//
// GenAuth sends no event when a factor is enrolled or removed, so entries expire by
// age; refusals expire sooner. A list that satisfies a policy is used for FreshFor,
// one that does not for DenyFreshFor only, so that a user who has just enrolled is
// let in. One list may do both, for two routes with different policies.
type CacheConfig struct {
	// Size is how many tokens' factor lists are kept; the least recently used
	// go first. Optional. Default 65,536, at about 165 bytes each.
	Size int
	// FreshFor is how old a list may be that lets a request through, and so how
	// long a removed factor keeps granting access. Each entry's own life is up to a
	// tenth shorter, so that entries made together do not end together.
	// Optional. Default 60 s, at most 5 minutes.
	FreshFor time.Duration
	// DenyFreshFor is how old a list may be that refuses a request. Optional.
	// Default 2 s; not above FreshFor.
	DenyFreshFor time.Duration
	// StaleIfError is how old a list may be that lets a request through while
	// GenAuth is unavailable. Optional. Default 0: off. Otherwise above
	// FreshFor and at most 5 minutes. A request whose token GenAuth rejects is
	// never let through by a stale list.
	StaleIfError time.Duration
	// RefusedFor is how long it is remembered that GenAuth rejected a token.
	// Optional. Default 5 s, at most 1 minute.
	RefusedFor time.Duration
	// RefusedSize is how many rejected tokens are remembered, apart from Size:
	// a flood of bad tokens evicts no good entry. Optional. Default a quarter
	// of Size.
	RefusedSize int
	// Store is a second tier that the instances of an app share: they ask
	// GenAuth together as often as one of them would, and Invalidate takes effect
	// on all. Optional. Package redisstore has one.
	Store Store
	// OnlyWhileHeard is for apps that would rather turn users away than let one in
	// whose factor was removed on an instance that this one does not hear. While the
	// Store has not been heard for DenyFreshFor, lists are used for DenyFreshFor
	// only, and StaleIfError is off. The price: while Redis is away, each user is
	// looked up every 2 s, and if there are more of them than the budget has calls
	// for, most requests are a 503. By default lists are used for FreshFor: Redis
	// being away is a miss, and not an outage. It needs a Store.
	OnlyWhileHeard bool
}

// LookupConfig limits the calls to GenAuth. The zero value is the
// default. The limits are per process: GenAuth's own limit is per user pool
// and shared with the sign-ins, so divide your share by the number of instances.
type LookupConfig struct {
	// Timeout bounds a lookup as a whole: waiting for its turn, connecting,
	// reading the answer, and one retry. No request waits longer. Optional.
	// Default 2 s.
	Timeout time.Duration
	// MaxConcurrent is how many lookups may be in progress at once. Unknown
	// tokens may use half of it, re-checks of lists that did not satisfy a policy a
	// quarter. Optional. Default 64.
	MaxConcurrent int
	// MaxPerSecond is how many lookups may start in a second, in bursts of
	// as many, with the same shares. Optional. Default 100, at least 0.01.
	MaxPerSecond float64
	// MaxWait is how long a lookup may wait for its turn. Optional. Default
	// 500 ms or a quarter of Timeout, whichever is less; not above half of it,
	// since a lookup that comes late would look like GenAuth being slow.
	MaxWait time.Duration
}

// The defaults and limits of the configuration.
const (
	defaultSize          = 1 << 16
	defaultFreshFor      = time.Minute
	defaultDenyFreshFor  = 2 * time.Second
	defaultRefusedFor    = 5 * time.Second
	defaultTimeout       = 2 * time.Second
	defaultMaxWait       = 500 * time.Millisecond
	defaultMaxConcurrent = 64
	defaultMaxPerSecond  = 100
	defaultRealm         = "mfa"

	minTokenBytes   = 16
	minUserRefBytes = 16
	maxFreshFor     = 5 * time.Minute
	maxRefusedFor   = time.Minute
	minPerSecond    = 0.01
	// A number without a unit is a number of nanoseconds. No lookup succeeds in
	// less than this, and a list that is kept for less is of no use.
	minDuration   = time.Millisecond
	reportOnlyFor = 100 * time.Millisecond
)

// prepared returns the configuration with its defaults, and all that is wrong
// with it.
func (c Config) prepared() (Config, error) {
	c.Audience = slices.Clone(c.Audience)
	errs := []error{c.prepareSource()}
	if c.Realm == "" {
		c.Realm = defaultRealm
	}
	if strings.ContainsFunc(c.Realm, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		errs = append(errs, fmt.Errorf("echomfa: Realm: %q: only printable ASCII without quotes and backslashes", c.Realm))
	}
	if c.OnUnavailable > InsecureAllow {
		errs = append(errs, fmt.Errorf("echomfa: OnUnavailable: %d is neither Refuse nor InsecureAllow", c.OnUnavailable))
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	errs = append(errs, defaultTo("MaxTokenBytes", &c.MaxTokenBytes, client.MaxTokenBytes))
	switch {
	case c.MaxTokenBytes > client.MaxTokenBytes:
		errs = append(errs, fmt.Errorf("echomfa: MaxTokenBytes: %d is above %d", c.MaxTokenBytes, client.MaxTokenBytes))
	case c.MaxTokenBytes > 0 && c.MaxTokenBytes < minTokenBytes:
		errs = append(errs, fmt.Errorf("echomfa: MaxTokenBytes: %d is below %d: no access token is that short", c.MaxTokenBytes, minTokenBytes))
	}
	if c.UserRefKey != nil && len(c.UserRefKey) < minUserRefBytes {
		errs = append(errs, fmt.Errorf("echomfa: UserRefKey: %d bytes are fewer than %d", len(c.UserRefKey), minUserRefBytes))
	}
	errs = append(errs, c.ReturnTo.prepare(), c.Cache.prepare(), c.Lookup.prepare())
	return c, errors.Join(errs...)
}

// prepare sets defaults and validates.
func (c *CacheConfig) prepare() error {
	errs := []error{
		checkUnit("Cache.FreshFor", c.FreshFor),
		checkUnit("Cache.DenyFreshFor", c.DenyFreshFor),
		checkUnit("Cache.RefusedFor", c.RefusedFor),
		checkUnit("Cache.StaleIfError", c.StaleIfError),
		defaultTo("Cache.Size", &c.Size, defaultSize),
		defaultTo("Cache.FreshFor", &c.FreshFor, defaultFreshFor),
	}
	// A FreshFor below the default DenyFreshFor is a wish for fresher facts,
	// not a contradiction.
	errs = append(errs, defaultTo("Cache.DenyFreshFor", &c.DenyFreshFor, min(defaultDenyFreshFor, max(c.FreshFor, 1))),
		defaultTo("Cache.RefusedFor", &c.RefusedFor, defaultRefusedFor),
		defaultTo("Cache.RefusedSize", &c.RefusedSize, max(1, c.Size/4)))
	if c.FreshFor > maxFreshFor {
		errs = append(errs, tooLong("Cache.FreshFor", c.FreshFor, maxFreshFor))
	}
	if c.FreshFor > 0 && c.DenyFreshFor > c.FreshFor {
		errs = append(errs, fmt.Errorf("echomfa: Cache.DenyFreshFor: %v is above Cache.FreshFor, %v", c.DenyFreshFor, c.FreshFor))
	}
	if c.RefusedFor > maxRefusedFor {
		errs = append(errs, tooLong("Cache.RefusedFor", c.RefusedFor, maxRefusedFor))
	}
	if c.Store != nil && isNil(c.Store) {
		errs = append(errs, errors.New("echomfa: Cache.Store: nil"))
	}
	if c.OnlyWhileHeard && c.Store == nil {
		errs = append(errs, errors.New("echomfa: Cache.OnlyWhileHeard: needs a Store"))
	}
	switch {
	case c.StaleIfError == 0, isTiny(c.StaleIfError):
	case c.StaleIfError < 0:
		errs = append(errs, fmt.Errorf("echomfa: Cache.StaleIfError: %v is negative", c.StaleIfError))
	case c.StaleIfError > maxFreshFor:
		errs = append(errs, tooLong("Cache.StaleIfError", c.StaleIfError, maxFreshFor))
	case c.FreshFor > 0 && c.StaleIfError <= c.FreshFor:
		errs = append(errs, fmt.Errorf("echomfa: Cache.StaleIfError: %v is not above Cache.FreshFor, %v", c.StaleIfError, c.FreshFor))
	}
	return errors.Join(errs...)
}

// prepare sets defaults and validates.
func (c *LookupConfig) prepare() error {
	errs := []error{
		checkUnit("Lookup.Timeout", c.Timeout),
		checkUnit("Lookup.MaxWait", c.MaxWait),
		defaultTo("Lookup.Timeout", &c.Timeout, defaultTimeout),
	}
	errs = append(errs, defaultTo("Lookup.MaxWait", &c.MaxWait, min(defaultMaxWait, max(c.Timeout/4, 1))),
		defaultTo("Lookup.MaxConcurrent", &c.MaxConcurrent, defaultMaxConcurrent),
		defaultTo("Lookup.MaxPerSecond", &c.MaxPerSecond, defaultMaxPerSecond))
	if c.Timeout >= minDuration && c.MaxWait > c.Timeout/2 {
		errs = append(errs, fmt.Errorf("echomfa: Lookup.MaxWait: %v is above half of Lookup.Timeout, %v", c.MaxWait, c.Timeout))
	}
	if c.MaxPerSecond > 0 && c.MaxPerSecond < minPerSecond {
		errs = append(errs, fmt.Errorf("echomfa: Lookup.MaxPerSecond: %v is below %v", c.MaxPerSecond, minPerSecond))
	}
	return errors.Join(errs...)
}

// checkUnit refuses a duration that is one only for want of a unit.
func checkUnit(field string, d time.Duration) error {
	if isTiny(d) {
		return fmt.Errorf("echomfa: %s: %v is below %v: is the unit missing?", field, d, minDuration)
	}
	return nil
}

func isTiny(d time.Duration) bool { return d > 0 && d < minDuration }

// defaultTo replaces zero by the default and refuses what is negative or not a
// number.
func defaultTo[T int | float64 | time.Duration](field string, value *T, byDefault T) error {
	switch {
	case *value == 0:
		*value = byDefault
	case *value < 0:
		return fmt.Errorf("echomfa: %s: %v is negative", field, *value)
	case math.IsNaN(float64(*value)), float64(*value) > 1<<62:
		return fmt.Errorf("echomfa: %s: %v is not a positive number", field, *value)
	}
	return nil
}

func tooLong(field string, is, limit time.Duration) error {
	return fmt.Errorf("echomfa: %s: %v is above %v", field, is, limit)
}
