// Package genauthtest is an emulator of GenAuth (formerly Authing), version 3
// of its API, for tests and demonstrations of programs that ask about and
// enroll MFA factors. It is built on net/http/httptest and holds everything in
// memory.
//
//	genauth := genauthtest.Start(t)
//	alice := genauth.AddUser(genauthtest.User{Username: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
//	token := genauth.AccessToken(alice.ID)
//	// point the program at genauth.URL() and genauth.AppID(), and send it the token
//	genauth.Reset(alice.ID, genauthtest.OTP) // what does the program do now?
//
// Outside tests, use [New] and [Server.Close].
//
// # What it does
//
// The factor endpoints (list-enrolled-factors, list-factors-to-enroll,
// send-enroll-factor-request, enroll-factor, reset-factor, get-factor,
// mfa-totp-verify) with real RFC 6238 codes, enrollment tokens that are good
// for one minute, and one SMS or e-mail code a minute and address, which
// [Server.PassCode] tells. Sign-in by password (/api/v3/signin), get-profile,
// check-app-id-secret, OpenID Connect discovery, key sets at both paths that
// GenAuth's clients ask, the code flow with PKCE (/oidc/auth, /oidc/token,
// /oidc/session/end), /oidc/me, introspection and revocation, and introspection of
// mfaTokens. Access tokens are JWTs signed by RS256; [Server.RotateKey] changes the key,
// and [Server.Mint] makes unusual tokens. The token is taken with and without
// "Bearer", the app id by the header x-authing-app-id or x-genauth-app-id, or by
// the names of Config.AppIDHeaders.
//
// As GenAuth documents, a failure under /api/v3 is an HTTP 200 whose body has
// another statusCode, except for HTTP 429. Such a body has no data, as the
// failures that GenAuth's pages print; its OpenAPI document requires data in the
// HTTP 200 of most calls and does not describe failures, so a validating proxy
// reports them. The successes have what it requires. A [Fault] makes an endpoint slow or
// its answers bad, [Server.Stop] makes it unreachable, [Server.Hold] keeps an
// answer on its way. [Server.Advance] moves the clock.
//
// # What it does not claim
//
// It follows GenAuth's published documentation, schemas and clients; it was
// never compared with a live GenAuth. Where those are silent or disagree, a
// field of [Config] has both behaviors, and comments in the source say which
// answers are a choice: above all the statusCode and apiCode of failures.
// In the place of the hosted pages, /oidc/auth has a form that asks for a name and a
// password: post username and password to the address that the app leads to, with a
// cookie jar. It does not ask for consent. There is no management API, no webhooks, no
// tenants, no rate limit of its own, and no MFA at sign-in. The qrCodeDataUrl of an
// enrollment is a blank picture: draw the QR code from qrCodeUri, as package enroll
// does. Passwords are kept as they are. Not for production.
//
// TOTP codes need SHA-1, so enrolling OTP does not work under
// GODEBUG=fips140=only.
package genauthtest
