package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
)

// This file holds programs for operators: those of
// docs/runbook.md and docs/genauth-setup.md.

// Each of several instances gets its part of the calls.
func ExampleLookupConfig() {
	_, genauth, done := kitchen()
	defer done()
	const (
		callsPerSecond = 100 // of the pool's limit, for all instances
		instances      = 4
	)
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth,
		Lookup: echomfa.LookupConfig{MaxPerSecond: callsPerSecond / instances},
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()
	fmt.Println(mfa.Stats().Entries)
	// Output: 0
}

// Stops enforcing during an outage.
func ExampleMiddlewareConfig_requireFunc() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa := mustNew(genauth)
	defer func() { _ = mfa.Close() }()
	policy := echomfa.AnyOf(echomfa.OTP)
	var reportOnly atomic.Bool // set it from your configuration or an operator's endpoint
	guard := echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa,
		RequireFunc: func(echo.Context) (echomfa.Requirement, error) {
			if reportOnly.Load() {
				return echomfa.Requirement{Policy: policy, Mode: echomfa.ReportOnly}, nil
			}
			return echomfa.Requirement{Policy: policy}, nil
		},
	})

	e := echo.New()
	e.GET("/admin", hello, guard)
	bob := "Authorization: Bearer " + emulator.AccessToken("bob")
	fmt.Println(ask(e, "GET", "/admin", bob).Code)
	reportOnly.Store(true)
	fmt.Println(ask(e, "GET", "/admin", bob).Code, mfa.Stats().WouldBlock.NotEnrolled)
	// Output:
	// 403
	// 200 1
}

// Lets unknown users through during an outage, and ends by itself.
func ExampleEnforcer_SetOnUnavailable() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa := mustNew(genauth)
	defer func() { _ = mfa.Close() }()
	e := echo.New()
	e.GET("/admin", hello, mfa.Require(echomfa.AnyOf(echomfa.OTP)))
	alice := "Authorization: Bearer " + emulator.AccessToken("alice")
	done() // GenAuth is away

	fmt.Println(ask(e, "GET", "/admin", alice).Code)
	err := mfa.SetOnUnavailable(echomfa.InsecureAllow, 2*time.Hour) // at most 24 h
	fmt.Println(ask(e, "GET", "/admin", alice).Code, err)
	// Output:
	// 503
	// 200 <nil>
}

// Where the log line of each refusal comes from.
func ExampleConfig_logger() {
	_, genauth, done := kitchen()
	defer done()
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth,
		Logger: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()
	fmt.Println(mfa.Stats().BreakerOpen)
	// Output: false
}

// Refuses the token of a user who has not finished signing in, in case that
// GenAuth's factor endpoints take it.
func ExampleConfig_checkToken() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth,
		CheckToken: func(ctx context.Context, token string) error {
			info, err := genauth.IntrospectMFAToken(ctx, token)
			if err != nil {
				return err
			}
			if info.Active {
				return errors.New("an MFA token is not an access token")
			}
			return nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()
	half := emulator.Mint(genauthtest.Token{Kind: genauthtest.KindMFA, UserID: "alice", Opaque: true})
	for _, token := range []string{half, emulator.AccessToken("alice")} {
		d, err := mfa.Decide(context.Background(), token, echomfa.AnyOf(echomfa.OTP))
		fmt.Println(d.Outcome, err)
	}
	// Output:
	// unauthenticated echomfa: unauthenticated: the token was not accepted: an MFA token is not an access token
	// allowed <nil>
}
