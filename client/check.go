package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CheckError is the error of [Client.Check].
type CheckError struct {
	// Problem says in one sentence of this package's own words what is wrong.
	// It quotes nothing: no address, no application id, nothing of an answer.
	Problem string
	// Err is the cause, of one of the package's classes.
	Err error
}

// Error returns the problem and the cause, without the application id.
func (e *CheckError) Error() string { return "client: check: " + e.Problem + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *CheckError) Unwrap() error { return e.Err }

// Check finds out, at start-up, whether BaseURL is the address of a GenAuth that
// knows AppID. It needs no user's token and changes nothing at GenAuth.
//
// It makes two calls, each within Config.Timeout: GET
// /oidc/.well-known/openid-configuration, which GenAuth documents as public, and
// GET /api/v3/list-enrolled-factors without a token, which GenAuth must reject as not
// logged in. An address of GenAuth's console or management API is an error without
// a call.
//
// The error is a [*CheckError], whose Problem tells these apart: no such host, a
// silent name server, a refused connection, no route, no answer in time, an egress
// proxy, a certificate of an unknown authority or of another host, http for https and
// the reverse, a redirect, a web page, a gateway that refuses, no GenAuth at all, an
// unknown application. Only the end of ctx and a Client not made by [New] are reported
// as by every other method.
//
// Nil does not say that AppID is the application of your users' tokens: GenAuth
// documents no call that tells without a token. Nor is it documented that an
// unknown application is noticed before the missing token is.
func (c *Client) Check(ctx context.Context) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	if isConsoleHost(c.base) {
		return &CheckError{
			Problem: "BaseURL is an address of GenAuth's console, management API or web site; use the authentication address of the app, as the console shows it",
			Err:     ErrMisconfigured,
		}
	}
	if err := c.checkDiscovery(ctx); err != nil {
		return err
	}
	return c.checkApp(ctx)
}

// checkDiscovery looks for a GenAuth at the address. A document without the usual
// envelope is what OpenID Connect asks for; a failure may come in one.
func (c *Client) checkDiscovery(ctx context.Context) error {
	r := getCall("/oidc/.well-known/openid-configuration", "")
	rep, err := c.checkExchange(ctx, r)
	if err != nil {
		return err
	}
	env := rep.envelope()
	switch {
	case rep.problem != "", env.hasStatus && !env.success():
	case !r.succeeded(rep.status):
		rep.problem = oddStatus(rep.status)
	case !hasIssuer(rep.body):
		rep.problem = "issuer is absent"
	default:
		return nil
	}
	return c.checkAnswer(r, rep, env)
}

// checkApp asks for the application, by a call that must not succeed.
func (c *Client) checkApp(ctx context.Context) error {
	r := getCall("/api/v3/list-enrolled-factors", "")
	rep, err := c.checkExchange(ctx, r)
	if err != nil {
		return err
	}
	env := rep.envelope()
	failure := c.failure(r, rep, env)
	switch {
	case rep.problem == "" && env.hasStatus && failure.Is(ErrUnauthenticated):
		return nil
	case rep.problem == "" && r.succeeded(rep.status) && env.success():
		rep.problem = "a call without a token succeeded"
	}
	return c.checkAnswer(r, rep, env)
}

// checkExchange makes a call. The error is that of Check.
func (c *Client) checkExchange(ctx context.Context, r call) (reply, error) {
	var came progress
	rep, err := c.exchange(came.watch(ctx), r)
	if err == nil || ctx.Err() != nil {
		return rep, err
	}
	return rep, &CheckError{Problem: c.transportProblem(err, &came), Err: err}
}

// checkAnswer returns the error for an answer that a GenAuth which knows the
// application does not give.
func (c *Client) checkAnswer(r call, rep reply, env envelope) error {
	var err error = c.failure(r, rep, env)
	problem, host := c.answerProblem(r, rep, env)
	if host != "" {
		err = fmt.Errorf("to %q: %w", tell(host, c.secrets(r), maxRequestIDBytes), err)
	}
	return &CheckError{Problem: problem, Err: err}
}

// hasIssuer reports whether text is a discovery document (OpenID Connect
// Discovery, section 3).
func hasIssuer(text []byte) bool {
	found := false
	err := members(text, func(name string, value json.RawMessage) error {
		if name == "issuer" {
			issuer, ok := readString(value)
			found = ok && issuer != ""
		}
		return nil
	})
	return err == nil && found
}

// vendorDomains are the two under which GenAuth documents addresses of apps.
func vendorDomains() []string { return []string{"authing.cn", "genauth.ai"} }

// isConsoleHost reports whether base is one of the addresses that GenAuth's
// documents and clients name for its console, its management API, and its web sites.
func isConsoleHost(base string) bool {
	host := hostOf(base)
	label, domain, _ := strings.Cut(host, ".")
	return slices.Contains(vendorDomains(), host) ||
		slices.Contains(vendorDomains(), domain) && slices.Contains([]string{"api", "console", "core", "docs", "www"}, label)
}

// orUnder adds to a problem that a base under one of the vendor's domains may have to
// be under the other one.
func orUnder(base, problem string) string {
	domains := vendorDomains()
	for i, domain := range domains {
		if strings.HasSuffix(hostOf(base), "."+domain) {
			return problem + "; look whether the address of the app is under " + domains[1-i]
		}
	}
	return problem
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// isPage reports whether an answer is a web page.
func (rep *reply) isPage() bool {
	return strings.Contains(strings.ToLower(rep.header.Get("Content-Type")), "html") || startsWith(rep.body, '<')
}

// redirectHost returns the host that an answer redirects to, or "".
func (rep *reply) redirectHost() string {
	if rep.status < 300 || rep.status > 399 || rep.status == http.StatusNotModified {
		return ""
	}
	return hostOf(rep.header.Get("Location"))
}
