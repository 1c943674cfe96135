package enroll

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/hidden"
)

// Config configures a [Handler]. It is copied: later changes have no effect.
//
// It prints as "[redacted]": it holds keys.
type Config struct {
	secret

	// Client speaks to GenAuth. Required. If the Enforcer has a [*client.Client],
	// it must be of the same address and app: usually it is the same one.
	Client *client.Client
	// Enforcer says where the token of a request is and who is signed in, and
	// forgets what it knows when a factor changes. Required. Its EnrollURL
	// leads to BasePath; if it has none, New logs a warning.
	Enforcer *echomfa.Enforcer
	// BasePath is where the handler is mounted, such as "/mfa". Required. The
	// handler serves it and all that is below it; do not strip it. A path that
	// a proxy takes off is not part of it: that is in the Enforcer's
	// ReturnTo.BaseURL. The pages see what http.StripPrefix takes off.
	BasePath string
	// Policy is what users come to satisfy. Required, unless PolicyFunc is set.
	Policy echomfa.Policy
	// PolicyFunc chooses the policy instead of Policy, for an app that has
	// several: by the return-to, which has been checked and may be empty. It has
	// no path of the Enforcer's ReturnTo.BaseURL before it. It may return an exempt
	// policy: then nothing is missing. An error is a 500, but one matching
	// [echomfa.ErrUnauthenticated] asks to sign in. Optional.
	PolicyFunc func(r *http.Request, returnTo string) (echomfa.Policy, error)

	// RoutePolicies are policies that routes choose by a function. Those that are mounted
	// are known: before a factor is removed, the pages warn of the routes that close, and
	// they say what a route may ask for beside Policy. Optional.
	RoutePolicies []echomfa.Policy

	// StateKeys encrypt what a form carries from one step to the next. The
	// first encrypts and all of them decrypt: to change the key, put the new
	// one in front, and drop the old one an hour later. Required: random
	// bytes, at least 32 each, the same on all instances. For a demo,
	// [InsecureRandomKey].
	StateKeys [][]byte

	// RecentSignIn returns who signed in, and when, with the password or whatever
	// replaces it, by the session of a request. If that is another user
	// than the one of the access token, or the time is zero, the user has to sign
	// in. An error is a 500, but one matching [echomfa.ErrUnauthenticated] asks to
	// sign in. Required, unless AuthTime or InsecureSkipProof is set. Never use iat,
	// which each refresh of a token renews.
	RecentSignIn func(r *http.Request) (SignIn, error)
	// AuthTime says that access tokens have the claim auth_time (OpenID Connect
	// Core 1.0, section 2), which then stands for RecentSignIn. GenAuth documents
	// none for access tokens: look at yours. Opaque tokens have no claims.
	AuthTime bool
	// SignInWithin is how long ago a recent sign-in may be, and how long a code
	// of the authenticator app proves that it is the user. Optional. Default 15
	// minutes, at least one, at most an hour.
	SignInWithin time.Duration
	// ReauthURL is where a user who is signed in already signs in again: a path of this
	// app, without what a proxy takes off, or an http(s) URL, which needs the Enforcer's
	// ReturnTo.BaseURL. It must ask for the password even of a user whom single sign-on
	// knows: in OpenID Connect, with prompt=login or max_age. It is given the return-to.
	// Optional. Default: the Enforcer's LoginURL, with the parameter prompt=login.
	ReauthURL string
	// InsecureSkipProof lets anybody with a session add and remove factors.
	InsecureSkipProof bool
	// OnChange is told each factor that has been added or removed here, so
	// that the app can tell the user by another way. It runs before the answer
	// is sent and should be quick. A form that is sent twice has it told once, or
	// once by each instance that the form comes to. Optional.
	OnChange func(ctx context.Context, e Event)

	// UserName returns what the user knows the account by, such as an e-mail address: the
	// pages say who is signed in. Optional. Default: they do not.
	UserName func(r *http.Request) string
	// SignOutURL is where users sign out: a path of this app, without what a proxy takes
	// off, or an http(s) URL. It is a link, or the button of a form if SignOutPost is set,
	// which needs a path and has no CSRF token of the app. Optional. Default: no link.
	SignOutURL  string
	SignOutPost bool

	// Home is the path that users go to where no return-to is given, without what
	// a proxy takes off. Optional. Default "/".
	Home string
	// HostedURL is a page of GenAuth where users enroll what these pages
	// cannot, such as their face: usually the personal center, at /u of the
	// app's address. Optional. Default: none, and users of a policy that needs
	// FACE, PASSKEY or a type of your own can then not get in; New logs a warning.
	HostedURL string
	// Support says whom to ask when nothing here helps, in a few words:
	// "the help desk, phone 1234". In one language it is what Messages have under the key
	// "support". Optional.
	Support string
	// Brand is the look of the app. Optional.
	Brand Brand
	// Region is the two-letter region whose calling code is selected first.
	// Optional. Default "CN", as GenAuth assumes.
	Region string
	// Language returns the language of a request as a tag, such as "zh-CN".
	// Optional. Default, and for "": what Accept-Language prefers.
	Language func(r *http.Request) string
	// Messages change texts or add languages, by tag and key. The keys are
	// those of the files in locales. What a language lacks is in English.
	// Optional.
	Messages map[string]map[string]string
	// Templates replace templates, by files "*.html" that define the same names. New
	// executes each page once.
	// The names and what they are given: see the files in pages, and [Page].
	// Optional.
	Templates fs.FS
	// Logger gets a line for each failure that is not the user's, and once a minute one for
	// a user who has met a limit. The pages that say so have the reference of the line. It
	// is never given a token, a secret, a code, an address or a number. Optional. Default:
	// nothing is logged.
	Logger *slog.Logger
}

// SignIn is when a user has signed in. The zero value means that nobody has signed in.
type SignIn struct {
	// Subject is the user's id at GenAuth: the sub of the ID token, which is the
	// sub of the access token.
	Subject string
	// Time is when the user gave the password, or whatever else stands for them.
	Time time.Time
}

// secret, embedded in a struct, makes it print as "[redacted]".
type secret = hidden.Fields

// Brand is the look of an app.
type Brand struct {
	// Name is the name of the app. Optional.
	Name string
	// ProviderName is what users know GenAuth as. Optional. Default "GenAuth".
	ProviderName string
	// LogoPath is the path of a picture of this app, without what a proxy takes
	// off. Optional.
	LogoPath string
	// Color is the color of buttons and links, such as "#0b57d0". White text
	// on it must be legible: a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3).
	// Optional.
	Color string
}

// Change is what has been done to a factor.
type Change uint8

// The changes. The zero value is not a change.
const (
	Enrolled Change = iota + 1
	Removed
)

// String returns "enrolled" or "removed".
func (c Change) String() string {
	switch c {
	case Enrolled:
		return "enrolled"
	case Removed:
		return "removed"
	}
	return "none"
}

// Event is a change of a user's factors.
type Event struct {
	// Change is what has been done.
	Change Change
	// Type is the type of the factor.
	Type client.FactorType
	// Subject is the user's id: the sub of the access token, or what GenAuth says of
	// an opaque one. It is empty if GenAuth did not say.
	Subject string
	// Time is when it was done.
	Time time.Time
}

const (
	defaultSignInWithin = 15 * time.Minute
	maxSignInWithin     = time.Hour
	// Nobody enrolls in less after a sign-in, and 15 without a unit is 15 ns.
	minSignInWithin = time.Minute
	defaultColor    = "#0b57d0"
	defaultRegion   = "CN"
	minKeyBytes     = 32
)

// InsecureRandomKey returns a key for [Config.StateKeys] that no other process
// knows: after a restart, and on another instance, users have to start again.
func InsecureRandomKey() []byte {
	key := make([]byte, minKeyBytes)
	rand.Read(key) // never fails, as its documentation says
	return key
}

// prepared returns the configuration with its defaults, and all that is wrong
// with it.
func (c Config) prepared() (Config, error) {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("enroll: "+field+": "+format, args...))
	}
	if c.Client == nil || c.Client.AppID() == "" {
		wrong("Client", "required, made by client.New")
	}
	if c.Enforcer == nil {
		wrong("Enforcer", "required, made by echomfa.New")
	}
	if c.isOfAnotherApp() {
		wrong("Client", "is of another address or app id than the Client of the Enforcer")
	}
	if !strings.HasPrefix(c.BasePath, "/") || path.Clean(c.BasePath) != c.BasePath || c.BasePath == "/" || !isPath(c.BasePath) {
		wrong("BasePath", `%q is not a path such as "/mfa"`, c.BasePath)
	} else if at := c.enrollPath(); at != "" && !strings.Contains(at+"/", c.BasePath+"/") && !strings.HasPrefix(c.BasePath, at+"/") {
		wrong("BasePath", "%q is not where the Enforcer's EnrollURL leads, %q", c.BasePath, at)
	}
	switch {
	case c.PolicyFunc == nil:
		if err := needsFactors(c.Policy); err != nil {
			wrong("Policy", "%w", err)
		}
	case len(c.Policy.Types()) > 0:
		wrong("Policy and PolicyFunc", "set one of them")
	}
	c.RoutePolicies = slices.Clone(c.RoutePolicies)
	for i, p := range c.RoutePolicies {
		if err := p.Err(); err != nil {
			wrong(fmt.Sprintf("RoutePolicies[%d]", i), "%w", err)
		}
	}
	c.StateKeys = slices.Clone(c.StateKeys)
	if len(c.StateKeys) == 0 {
		wrong("StateKeys", "required: at least one key of %d random bytes", minKeyBytes)
	}
	for i, key := range c.StateKeys {
		if len(key) < minKeyBytes {
			wrong(fmt.Sprintf("StateKeys[%d]", i), "%d bytes are too few: at least %d", len(key), minKeyBytes)
		} else if bytes.Count(key, key[:1]) == len(key) {
			wrong(fmt.Sprintf("StateKeys[%d]", i), "all bytes are the same: a key is random, and anybody can guess this one; for tests there is InsecureRandomKey")
		}
		c.StateKeys[i] = slices.Clone(key)
	}
	switch {
	case c.RecentSignIn != nil && c.AuthTime:
		wrong("RecentSignIn and AuthTime", "set one of them")
	case c.RecentSignIn == nil && !c.AuthTime && !c.InsecureSkipProof:
		wrong("RecentSignIn", "required, unless AuthTime says that access tokens have auth_time: nobody without an authenticator app could add a factor")
	}
	if c.SignInWithin == 0 {
		c.SignInWithin = defaultSignInWithin
	}
	if c.SignInWithin < minSignInWithin || c.SignInWithin > maxSignInWithin {
		wrong("SignInWithin", "%v is not between %v and %v", c.SignInWithin, minSignInWithin, maxSignInWithin)
	}
	if why := c.wrongReauthURL(); why != "" {
		wrong("ReauthURL", "%s", why)
	}
	if why := c.wrongSignOut(); why != "" {
		wrong("SignOutURL", "%s", why)
	}
	if c.Home == "" {
		c.Home = "/"
	}
	if c.Enforcer != nil && c.Enforcer.ReturnTo(c.Home) == "" {
		wrong("Home", "%q is not a path of this app", c.Home)
	}
	if home, _, _ := strings.Cut(c.Home, "?"); len(c.BasePath) > 1 && (home == c.BasePath || strings.HasPrefix(home, c.BasePath+"/")) {
		wrong("Home", "%q leads to these pages themselves", c.Home)
	}
	if c.signsInHere() {
		wrong("Enforcer", "its LoginURL leads to these pages, which users without a token do not see")
	}
	errs = append(errs, wrongHostedURL(c.HostedURL))
	if c.Region == "" {
		c.Region = defaultRegion
	}
	if callingCode(c.Region) == "" {
		wrong("Region", `%q is not a region such as "CN"`, c.Region)
	}
	errs = append(errs, c.Brand.prepare())
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

// isOfAnotherApp reports whether the pages would speak of the factors of another
// app than the one that the Enforcer asks about. Of another lister it is not known.
func (c *Config) isOfAnotherApp() bool {
	enforcers, ok := c.Enforcer.Client().(*client.Client)
	return ok && c.Client != nil && c.Client.AppID() != "" &&
		(enforcers.AppID() != c.Client.AppID() || enforcers.BaseURL() != c.Client.BaseURL())
}

// enrollPath returns the path of the Enforcer's EnrollURL, or "" if there is none
// or it is an address with a host: what a proxy makes of that is not known.
func (c *Config) enrollPath() string {
	u, err := url.Parse(c.Enforcer.EnrollLocation(""))
	if err != nil || u.Host != "" {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

// signsInHere reports whether the sign-in page is said to be one of these pages.
// They would send users who are not signed in to themselves.
func (c *Config) signsInHere() bool {
	u, err := url.Parse(c.Enforcer.LoginLocation(""))
	return err == nil && u.Host == "" && c.BasePath != "" && strings.HasPrefix(strings.TrimSuffix(u.Path, "/")+"/", c.BasePath+"/")
}

// needsFactors reports why nobody has to enroll anything for a policy.
func needsFactors(p echomfa.Policy) error {
	if err := p.Err(); err != nil {
		return err
	}
	if _, exempt := p.IsExempt(); exempt {
		return errors.New("an exempt policy needs no factors")
	}
	return nil
}

// wrongHostedURL returns what is wrong with a HostedURL. It is not quoted: it may hold a
// password.
func wrongHostedURL(address string) error {
	if u, err := url.Parse(address); address != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
		return errors.New("enroll: HostedURL: is not an http(s) URL")
	}
	return nil
}

func (b *Brand) prepare() error {
	if b.Color == "" {
		b.Color = defaultColor
	}
	var errs []error
	if ratio, err := contrastToWhite(b.Color); err != nil {
		errs = append(errs, fmt.Errorf("enroll: Brand.Color: %w", err))
	} else if ratio < 4.5 {
		errs = append(errs, fmt.Errorf("enroll: Brand.Color: %s has a contrast of %.1f to white text: at least 4.5", b.Color, ratio))
	}
	if b.LogoPath != "" && (!strings.HasPrefix(b.LogoPath, "/") || !isPath(b.LogoPath)) {
		errs = append(errs, fmt.Errorf(`enroll: Brand.LogoPath: %q is not a path such as "/logo.svg"`, b.LogoPath))
	}
	return errors.Join(errs...)
}

// isPath reports whether s is a path and nothing more.
func isPath(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Path == s && u.EscapedPath() == s && !strings.Contains(s, "//")
}
