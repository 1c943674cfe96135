// Package echomfa is middleware for Echo v4 and net/http that blocks a route until
// the user has set up MFA at GenAuth (formerly Authing).
//
// It takes the user's access token, asks GenAuth which MFA factors the user has
// enrolled, and lets the request through, refuses it, or sends the browser to set up
// a factor and brings it back.
//
//	genauth, err := client.New(client.Config{BaseURL: "https://example.genauth.ai", AppID: appID})
//	...
//	mfa, err := echomfa.New(echomfa.Config{
//		Client: genauth, EnrollURL: "/mfa", LoginURL: "/login", TokenLookup: "cookie:session",
//	})
//	...
//	admin := e.Group("/admin", mfa.Require(echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
//
// The same [Enforcer] works for net/http, with [Enforcer.Middleware], and without
// HTTP, with [Enforcer.Decide].
//
// # What it does not do
//
// Enrolled is not verified. GenAuth's tokens carry neither amr nor acr: this
// package never claims that the present session has passed MFA (for that, see
// RFC 9470).
//
// It is not authentication. No signature is verified here: mount the middleware
// that verifies your tokens first, or set [Config.CheckToken]. That GenAuth accepts
// a token is necessary and not sufficient: a JWT must also be meant for this
// app and name a user.
//
// Upgraded connections (WebSocket) are checked once, at the upgrade.
//
// # Policies
//
// A [Policy] says which factor types must be enrolled: AnyOf(OTP, Face),
// AllOf(OTP, Email), AtLeast(2, OTP, SMS, Email), Custom("VOICE") for a type
// without a constant, and what [Policy.And] and [Policy.Or] make of them.
// [ParsePolicy] reads the same from text:
//
//	policy = term { "or" term }
//	term   = factor { "and" factor }
//	factor = type | number "of" "(" type { "," type } ")" | "(" policy ")"
//	type   = "OTP" | "SMS" | "EMAIL" | "FACE" | "PASSKEY" | quoted
//
// or `exempt "reason"` for a route that asks for nothing. GenAuth may list SMS
// and EMAIL for users who never enrolled them: a policy that one of them alone
// satisfies is logged once.
//
// # Freshness
//
// The factor list is cached; the decision is made on every request. GenAuth sends
// no event when a factor changes, so entries expire by age; refusals expire sooner:
//
//	list satisfies the policy, up to FreshFor (60 s) old     allow
//	list satisfies it, older                                 ask; if that fails, StaleIfError
//	list does not satisfy it, up to DenyFreshFor (2 s) old   refuse
//	list does not satisfy it, older                          ask; if that fails, 503
//	GenAuth rejected the token, up to RefusedFor (5 s) ago   401
//
// So nobody is refused because of an old list, and [Enforcer.Invalidate] applies a
// change at once.
//
// # Failures
//
// If the status is unknown, the answer is 503: never "allowed", never "not enrolled".
//
//	factors missing                          403  *NotEnrolledError
//	token missing, malformed, rejected       401  *TokenError
//	enrollment status unknown                503  *LookupError
//	error in the app's code or configuration 500
//
// Browsers get redirects and pages, programs get problem documents (RFC 9457).
// The handler runs in none of these cases. Zero values refuse, what is
// dangerous is named Insecure, and a panic in a callback is a 500.
//
// # Compatibility
//
// The two newest Go releases are supported, from Go 1.25. Before version 1.0
// the API may change between minor versions, as the changelog says. Error
// texts, log messages and the wording of answers may change at any time; the
// events and keys of log lines and the members of problem documents are kept.
package echomfa
