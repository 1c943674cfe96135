package genauthtest

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/echomfa/echomfa/internal/factortype"
)

// FactorType is a kind of factor, the same type as FactorType of packages echomfa
// and client. The set is open: the emulator lists whatever a user was given, and
// enrolls the first four by its endpoints.
type FactorType = factortype.Type

// The factor types that GenAuth documents, and Passkey, which GenAuth's login
// component knows but the list of factor types does not.
const (
	OTP     FactorType = "OTP"
	SMS     FactorType = "SMS"
	Email   FactorType = "EMAIL"
	Face    FactorType = "FACE"
	Passkey FactorType = "PASSKEY"
)

// Config configures a [Server]. The zero value is a working emulator on a free
// loopback port.
//
// Some fields stand for points that GenAuth does not document; they say so. A
// program should work with either value of those.
type Config struct {
	// Addr is the host:port to listen on. Default "127.0.0.1:0", a free port.
	// The emulator is not made to be reached from other machines.
	Addr string
	// AppID is the id of the emulated application. Default
	// "65a1b2c3d4e5f60718293a4b".
	AppID string
	// AppSecret is the secret of the application. It is compared only where a
	// request sends one. Default "genauthtest-app-secret".
	AppSecret string
	// UserPoolName names the user pool, as authenticator apps show it. Default
	// "Example".
	UserPoolName string
	// EnabledFactors are the types that users may enroll: OTP, SMS, Email and
	// Face, which GenAuth's endpoints enroll, or some of them. A user can have any
	// other type by User.Factors and [Server.Enroll]. Default: all four. An empty
	// slice that is not nil enables none.
	EnabledFactors []FactorType
	// TokenLifetime is how long tokens are good. Default two hours, rounded
	// down to seconds.
	TokenLifetime time.Duration
	// ReuseOTPSecret gives a user who asks to enroll OTP again the secret of
	// the time before, until it is enrolled. By default each request makes a
	// new secret. GenAuth does not document which.
	ReuseOTPSecret bool
	// ImplicitSMS lists an SMS factor for a user who has a phone number but
	// has not enrolled it. GenAuth's documentation once said so and no longer
	// does.
	ImplicitSMS bool
	// ImplicitEmail is ImplicitSMS for the e-mail address.
	ImplicitEmail bool
	// DataAsObject answers a list of one element with the element instead of
	// an array, as the samples of the documentation print it. Its schema says
	// array.
	DataAsObject bool
	// CompositeFactorIDs makes factor ids of the form "<user id>|email"
	// instead of 24 hexadecimal digits. GenAuth's documentation shows both.
	CompositeFactorIDs bool
	// AcceptMFATokens takes a token of [KindMFA] for an access token. GenAuth
	// does not document whether its factor endpoints do.
	AcceptMFATokens bool
	// AcceptIDTokens takes a token of [KindID] for an access token. GenAuth
	// does not document what happens.
	AcceptIDTokens bool
	// AcceptAnyAudience takes tokens that were issued for another application.
	// GenAuth does not document what happens.
	AcceptAnyAudience bool
	// AppIDHeaders are the names of the header that the app id is taken from.
	// Default x-authing-app-id and x-genauth-app-id: GenAuth's clients send the
	// one or the other, and white-label deployments a third.
	AppIDHeaders []string
	// RedirectURIs are the callback addresses of the application: /oidc/auth leads to no
	// other. Default: it leads to any address.
	RedirectURIs []string
	// LogoutRedirectURIs are the addresses that /oidc/session/end may lead to. Default:
	// any address.
	LogoutRedirectURIs []string
	// HS256IDTokens signs ID tokens by HS256 with AppSecret instead of RS256: GenAuth
	// lets each application choose. Access tokens are signed by RS256 in both cases.
	HS256IDTokens bool
	// IgnoreMaxAge ignores max_age at /oidc/auth, so that ID tokens have no auth_time.
	// OpenID Connect Core requires that a provider heeds it; GenAuth does not document it.
	IgnoreMaxAge bool
	// AppIDOptional takes API requests without an app-id header. GenAuth
	// documents the header as required, not what happens without it.
	AppIDOptional bool
}

// withDefaults returns a copy of c with its defaults, or all its mistakes.
func (c Config) withDefaults() (Config, error) {
	c.Addr = cmp.Or(c.Addr, "127.0.0.1:0")
	c.AppID = cmp.Or(c.AppID, "65a1b2c3d4e5f60718293a4b")
	c.AppSecret = cmp.Or(c.AppSecret, "genauthtest-app-secret")
	c.UserPoolName = cmp.Or(c.UserPoolName, "Example")
	c.TokenLifetime = cmp.Or(c.TokenLifetime, 2*time.Hour)
	if c.EnabledFactors == nil {
		c.EnabledFactors = []FactorType{OTP, SMS, Email, Face}
	}
	c.EnabledFactors = slices.Clone(c.EnabledFactors)
	if c.AppIDHeaders == nil {
		c.AppIDHeaders = []string{"x-authing-app-id", "x-genauth-app-id"}
	}
	c.AppIDHeaders = slices.Clone(c.AppIDHeaders)
	c.RedirectURIs, c.LogoutRedirectURIs = slices.Clone(c.RedirectURIs), slices.Clone(c.LogoutRedirectURIs)
	var errs []error
	_, port, err := net.SplitHostPort(c.Addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		errs = append(errs, fmt.Errorf(`genauthtest: Addr: %q is not a host and a port, such as "127.0.0.1:0"`, c.Addr))
	}
	if c.TokenLifetime < time.Second {
		errs = append(errs, fmt.Errorf("genauthtest: TokenLifetime: %v is less than a second", c.TokenLifetime))
	}
	for _, t := range c.EnabledFactors {
		switch t {
		case OTP, SMS, Email, Face:
		default:
			errs = append(errs, fmt.Errorf("genauthtest: EnabledFactors: cannot enroll %q: only OTP, SMS, EMAIL and FACE; give a user another type by User.Factors or Enroll", t))
		}
	}
	return c, errors.Join(errs...)
}
