// Package echov5 is echomfa for Echo v5: middleware that blocks a route until the
// user has enrolled the MFA factors that the route requires at GenAuth.
//
//	mfa, err := echomfa.New(echomfa.Config{Client: genauth})
//	...
//	admin := e.Group("/admin", echov5.Require(mfa, echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
//
// Policies, freshness, failures and answers are those of package
// [github.com/echomfa/echomfa]: the same table of answers is tested over Echo v4,
// Echo v5 and net/http. What is different is named here.
//
// # Where to mount it
//
// Mount it on routes and groups, after the middleware that verifies the token.
//
// A group with middleware also runs it for addresses below its prefix that match
// no route, because Echo registers a "not found" route for each such group. A
// stranger gets a 401 there, and cannot find out which routes exist. With
// Config.NoGroupAutoRegister404Routes, and for a method that a registered path
// does not have, Echo answers 404 or 405 before any middleware of the group. No
// handler runs in either case.
//
// A HEAD request that Echo answers by a GET route (RouterConfig.AutoHandleHEAD) is
// checked as any other. So are all methods of a route that was registered by Any,
// QUERY (RFC 10008) among them.
//
// # Errors and Echo
//
// By default a refusal is written here and nil is returned: Echo's
// HTTPErrorHandler is not called, and request loggers read the status. To have the
// HTTPErrorHandler called, return the error from [MiddlewareConfig].ErrorHandler.
// The error is an [*echo.HTTPError], which has the status as StatusCode and the
// error of package echomfa inside. Echo's DefaultHTTPErrorHandler and its
// ProblemDetailsHTTPErrorHandler answer with the same status, and without the
// members that only the default answer has, such as "missing" and "enroll_url".
//
// # Without Echo v4
//
// Package echomfa has the middleware for Echo v4. To keep Echo v4 out of the
// binary of an Echo v5 app, build it with the tag echomfa_noechov4:
//
//	go build -tags echomfa_noechov4 ./...
package echov5
