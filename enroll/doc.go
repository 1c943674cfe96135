// Package enroll has ready-made pages on which users set up MFA factors at
// GenAuth, and come back to the page that asked for them.
//
// GenAuth documents no deep link with a return address, so an application needs
// pages of its own. A [Handler] is that: mount it where [echomfa.Config]'s
// EnrollURL points, at the path itself and below it.
//
//	pages, err := enroll.New(enroll.Config{
//		Client: genauth, Enforcer: mfa, BasePath: "/mfa",
//		Policy: admin, StateKeys: [][]byte{key},
//		RecentSignIn: signedIn, // your function: who signed in, and when
//	})
//	...
//	e.Any("/mfa", echo.WrapHandler(pages))
//	e.Any("/mfa/*", echo.WrapHandler(pages))
//
// The pages say what is missing, offer what the app offers, walk the user
// through an authenticator app, a text message or an e-mail, show the recovery
// code once, apply the change at once, and go back. They work without
// JavaScript and on a phone, in English and Chinese.
//
// # Who may change factors
//
// Enrollment is how accounts are taken over: an attacker who adds a factor of
// their own passes every check that asks for one. So adding or removing a factor needs
// either a code of the authenticator app that is enrolled already or, where none
// is, a sign-in of the last 15 minutes: see [Config.RecentSignIn].
//
// These pages guard the way that leads through them. Anybody with a raw access
// token can add or remove factors at GenAuth directly, and no page can prevent
// that: keep access tokens on the server.
//
// # State
//
// Nothing is kept in memory between the steps, so that any instance can answer
// any of them, and two tabs do not get in each other's way. What a step needs of
// the one before is in a hidden field of the form, encrypted and bound to the
// user, under the keys of [Config.StateKeys]. Each form is answered with a redirect to a
// page, so that back, reload and a tab that was closed show that page again: what it
// shows is in a cookie for its address alone, encrypted in the same way. The shared secret
// of an authenticator app is never in a URL, a log line or a cache, and in no cookie
// as it is.
//
// The one exception counts codes: each instance lets a user try or send ten of
// them, and then one every 90 seconds.
package enroll
