// Package peer has what echomfa is measured beside: other ways to guard a handler
// in Echo.
package peer

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"sync"
	"time"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v2"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/golang-jwt/jwt/v5"
	"github.com/hashicorp/golang-lru/v2/expirable"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

const (
	// AppID is the app of all tokens.
	AppID  = "65a1b2c3d4e5f60718293a4b"
	issuer = "https://example.genauth.test/oidc"
	hsKey  = "0123456789abcdef0123456789abcdef"
)

// Tokens are those of one user: an opaque one, and access tokens of the size that
// GenAuth's samples have, about 1.2 kB.
type Tokens struct{ Opaque, RS256, HS256 string }

//nolint:gochecknoglobals // one key: making one takes a while
var signingKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// must returns v: nothing here depends on what is measured.
func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// NewTokens makes the tokens of a user.
func NewTokens(user string) Tokens {
	claims := jwt.MapClaims{
		"jti": "oWv8BPpTSHWsnqIhQ0Zb3Q", "sub": user, "iss": issuer, "aud": AppID,
		"iat": time.Now().Unix(), "exp": time.Now().Add(2 * time.Hour).Unix(),
		"scope": "openid profile " + strings.Repeat("user:read ", 42),
	}
	sign := func(method jwt.SigningMethod, key any) string {
		return must(jwt.NewWithClaims(method, claims).SignedString(key))
	}
	return Tokens{
		Opaque: (rand.Text() + rand.Text())[:40],
		RS256:  sign(jwt.SigningMethodRS256, signingKey()),
		HS256:  sign(jwt.SigningMethodHS256, []byte(hsKey)),
	}
}

// Lister knows every token, and that its user has enrolled OTP.
func Lister(context.Context, string) ([]client.Factor, error) {
	return []client.Factor{{ID: "f", Type: client.OTP}}, nil
}

// NewEnforcer returns an Enforcer without limits, for size users.
func NewEnforcer(size int, changes ...func(*echomfa.Config)) *echomfa.Enforcer {
	cfg := echomfa.Config{
		Client: echomfa.FactorListerFunc(Lister), Namespace: "bench", Audience: []string{AppID},
		Cache:  echomfa.CacheConfig{Size: size, FreshFor: 5 * time.Minute},
		Lookup: echomfa.LookupConfig{MaxConcurrent: 1 << 12, MaxPerSecond: 1e7},
	}
	for _, change := range changes {
		change(&cfg)
	}
	return must(echomfa.New(cfg))
}

// Policy is the policy of all measurements.
func Policy() echomfa.Policy { return echomfa.AnyOf(echomfa.OTP, echomfa.Face) }

// Peer is something that can stand before a handler in Echo.
type Peer struct {
	Name string
	// HS256 says that it reads such a token; the others read any, or RS256.
	HS256 bool
	// New returns a middleware that takes the tokens of [NewTokens].
	New func() echo.MiddlewareFunc
}

// Token returns the token that the peer reads.
func (p Peer) Token(t Tokens) string {
	if p.HS256 {
		return t.HS256
	}
	return t.RS256
}

// Any are the peers that take any token, echomfa among them.
func Any() []Peer {
	return []Peer{
		{Name: "echomfa", New: func() echo.MiddlewareFunc { return NewEnforcer(1 << 16).Require(Policy()) }},
		{Name: "no-op", New: func() echo.MiddlewareFunc {
			return func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c echo.Context) error { return next(c) }
			}
		}},
		{Name: "KeyAuth", New: func() echo.MiddlewareFunc {
			return middleware.KeyAuth(func(string, echo.Context) (bool, error) { return true, nil })
		}},
		{Name: "naive map", New: naiveMap},
		{Name: "expirable LRU", New: expirableLRU},
	}
}

// Verifiers are the peers that verify a JWT on every request, and casbin, which
// decides by a role.
func Verifiers() []Peer {
	return []Peer{
		{Name: "echo-jwt HS256", HS256: true, New: func() echo.MiddlewareFunc {
			return echojwt.WithConfig(echojwt.Config{SigningKey: []byte(hsKey)})
		}},
		{Name: "echo-jwt RS256", New: func() echo.MiddlewareFunc {
			return echojwt.WithConfig(echojwt.Config{SigningKey: &signingKey().PublicKey, SigningMethod: "RS256"})
		}},
		{Name: "auth0 RS256", New: auth0},
		{Name: "casbin RBAC", New: casbinRBAC},
	}
}

// naiveMap is what one writes in an afternoon: raw tokens in a map.
func naiveMap() echo.MiddlewareFunc {
	type entry struct {
		enrolled bool
		until    time.Time
	}
	var mu sync.Mutex
	known := make(map[string]entry)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			token, ok := strings.CutPrefix(c.Request().Header.Get("Authorization"), "Bearer ")
			if !ok {
				return echo.ErrUnauthorized
			}
			mu.Lock()
			e, ok := known[token]
			if !ok || time.Now().After(e.until) {
				e = entry{enrolled: true, until: time.Now().Add(5 * time.Minute)}
				known[token] = e
			}
			mu.Unlock()
			if !e.enrolled {
				return echo.ErrForbidden
			}
			return next(c)
		}
	}
}

// expirableLRU is the same over golang-lru's expirable cache.
func expirableLRU() echo.MiddlewareFunc {
	known := expirable.NewLRU[string, bool](1<<16, nil, 5*time.Minute)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			token, ok := strings.CutPrefix(c.Request().Header.Get("Authorization"), "Bearer ")
			if !ok {
				return echo.ErrUnauthorized
			}
			enrolled, ok := known.Get(token)
			if !ok {
				enrolled = true
				known.Add(token, enrolled)
			}
			if !enrolled {
				return echo.ErrForbidden
			}
			return next(c)
		}
	}
}

func auth0() echo.MiddlewareFunc {
	v := must(validator.New(func(context.Context) (any, error) { return &signingKey().PublicKey, nil },
		validator.RS256, issuer, []string{AppID}))
	return echo.WrapMiddleware(jwtmiddleware.New(v.ValidateToken).CheckJWT)
}

// casbinRBAC decides by a role whether a subject may do something: another
// question, on the same place of the way.
func casbinRBAC() echo.MiddlewareFunc {
	enforcer := must(casbin.NewEnforcer(must(model.NewModelFromString(`
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
`))))
	must(enforcer.AddPolicy("admin", "/", "GET"))
	must(enforcer.AddGroupingPolicy("alice", "admin"))
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			ok, err := enforcer.Enforce("alice", c.Path(), c.Request().Method)
			if err != nil || !ok {
				return echo.ErrForbidden
			}
			return next(c)
		}
	}
}
