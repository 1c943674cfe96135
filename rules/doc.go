// Package rules reads the file that says which route of an app requires which MFA
// policy, and finds the rule of a request.
//
//	version: 1
//	policies:
//	  authenticator: OTP or FACE
//	default: {require: authenticator}
//	rules:
//	  - name: public
//	    public: sign-in and enrollment
//	    routes: ["GET /login"]
//	    under: ["/mfa"]
//
// A rule is found by the request's method and the route that the router has matched, as
// it was registered, such as "/admin/:id", and never by the text of the URL. The first
// rule that matches decides. What no rule matches, the default guards.
//
// [Open] reads a file and follows its changes. [Requirement] returns what a request
// needs, for a RequireFunc. Packages beside this one mount a [Set] in a web framework;
// this package imports none.
package rules
