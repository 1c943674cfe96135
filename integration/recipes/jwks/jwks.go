// Package jwks verifies GenAuth's tokens by its key set, also while its keys change. It
// is a recipe: copy it.
package jwks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/echomfa/echomfa"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// Config says whose tokens are good.
type Config struct {
	// KeysURL is the address of the key set.
	KeysURL string
	// Issuer is what the iss of a token must be, such as "https://example.genauth.ai/oidc".
	Issuer string
	// AppID must be in the aud of a token.
	AppID string
	// HTTPClient fetches the key set.
	HTTPClient *http.Client
	// Logger is told when the key set cannot be fetched.
	Logger *slog.Logger
}

// Verifier verifies tokens.
type Verifier struct {
	cfg    Config
	set    jwkset.Storage
	keys   keyfunc.Keyfunc
	parser *jwt.Parser

	renewing sync.Mutex
	renewals *rate.Limiter
}

// fetchWithin is how long a fetch of the key set may take.
const fetchWithin = 2 * time.Second

// New fetches the key set, and again each hour until ctx ends: a key that GenAuth no
// longer has is good for an hour at most. If GenAuth is away, New does not fail:
// requests get a 503 until the key set is there.
func New(ctx context.Context, cfg Config) (*Verifier, error) {
	v := &Verifier{
		cfg: cfg,
		set: jwkset.NewMemoryStorage(),
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{"RS256"}), // never what the token itself says
			jwt.WithIssuer(cfg.Issuer), jwt.WithAudience(cfg.AppID), jwt.WithExpirationRequired(),
			jwt.WithLeeway(10*time.Second), // of the two clocks
		),
		renewals: rate.NewLimiter(rate.Every(2*time.Second), 1),
	}
	_, err := jwkset.NewStorageFromHTTP(cfg.KeysURL, jwkset.HTTPClientStorageOptions{
		Client: cfg.HTTPClient, Ctx: ctx, Storage: v.set, HTTPTimeout: fetchWithin,
		RefreshInterval:           time.Hour,
		NoErrorReturnFirstHTTPReq: true,
		RefreshErrorHandler: func(ctx context.Context, err error) {
			cfg.Logger.ErrorContext(ctx, "the key set cannot be fetched", "error", err)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("KeysURL: %w", err)
	}
	v.keys, err = keyfunc.New(keyfunc.Options{Storage: v.set})
	return v, err
}

// Verify reads a token into claims. The error matches echomfa.ErrUnavailable if the key
// set cannot be fetched, and otherwise echomfa.ErrUnauthenticated.
func (v *Verifier) Verify(ctx context.Context, raw string, claims jwt.Claims) error {
	_, err := v.parser.ParseWithClaims(raw, claims, func(token *jwt.Token) (any, error) {
		key, err := v.keys.KeyfuncCtx(ctx)(token)
		if errors.Is(err, jwkset.ErrKeyNotFound) {
			return v.keyAfterRenewal(ctx, token)
		}
		return key, err
	})
	if err != nil && !errors.Is(err, echomfa.ErrUnavailable) {
		return fmt.Errorf("%w: %w", echomfa.ErrUnauthenticated, err)
	}
	return err
}

// keyAfterRenewal looks for the key of a token in a key set that is fetched now: the key
// may be new. Anybody can make up the id of a key, so one request at a time does, every
// two seconds. What the others ask about is unknown, and not wrong.
func (v *Verifier) keyAfterRenewal(ctx context.Context, token *jwt.Token) (any, error) {
	v.renewing.Lock()
	defer v.renewing.Unlock()
	key, err := v.keys.KeyfuncCtx(ctx)(token)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return key, err // the request before this one has fetched it
	}
	if !v.renewals.Allow() {
		return nil, fmt.Errorf("%w: the key set was fetched a moment ago", echomfa.ErrUnavailable)
	}
	// Without an interval it fetches the key set once, and keeps the old one if that fails.
	_, err = jwkset.NewStorageFromHTTP(v.cfg.KeysURL, jwkset.HTTPClientStorageOptions{
		Client: v.cfg.HTTPClient, Ctx: ctx, Storage: v.set, HTTPTimeout: fetchWithin,
	})
	if err != nil {
		v.cfg.Logger.ErrorContext(ctx, "the key set cannot be fetched", "error", err)
		return nil, fmt.Errorf("%w: key set: %w", echomfa.ErrUnavailable, err)
	}
	return v.keys.KeyfuncCtx(ctx)(token)
}
