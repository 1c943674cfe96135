// Package client is a small client for the MFA part of GenAuth's V3 API
// (GenAuth was formerly Authing). It lists the factors that a user has enrolled,
// and enrolls and removes factors.
//
//	genauth, err := client.New(client.Config{
//		BaseURL: "https://example.genauth.ai",
//		AppID:   "your-app-id",
//	})
//	factors, err := genauth.ListEnrolledFactors(ctx, accessToken)
//
// It uses the standard library only. One [Client] is enough for all users: the token is
// an argument of every call, and every method may be called concurrently.
//
// [Client.Check] tells at start-up whether the address and the application are
// ones that GenAuth knows.
//
// That a factor is enrolled does not mean that the user has shown it in this
// session, and that GenAuth accepts a token does not mean that the token was
// made for the service that received it.
//
// # What counts as an answer
//
// A list is believed only if the HTTP status is 200, the body is one JSON object
// in UTF-8 with nothing after it, its statusCode is 200, its apiCode is absent,
// null or 0, and its data is there. Member names are compared exactly. An
// envelope or a row with a duplicate member is malformed. Everything else is an
// error, never an empty list.
//
// # Failures
//
// GenAuth documents that nearly every answer, failures included, has HTTP status
// 200, and that the body's statusCode says how the call went. Gateways in
// between do otherwise, so both are looked at. The one HTTP status of a success is
// the documented 200, or 201 for a POST. Any other 2xx, such as a 206 for a range
// that nobody asked for, is malformed, whatever is in the body. The first row that
// fits decides:
//
//	HTTP status         statusCode   apiCode                  errors.Is
//	429                 any          any                      ErrRateLimited
//	5xx, 6xx            any          any                      ErrUnavailable
//	not 200, 201, 4xx   any          any                      ErrMalformed
//	200, 201, 4xx       429          any                      ErrRateLimited
//	200, 201, 4xx       any          2011, 2224               ErrMisconfigured
//	200, 201, 4xx       any          2020, 2120008, 2130010   ErrUnauthenticated
//	401                 any          other                    ErrUnauthenticated
//	200, 201, 4xx       401          other                    ErrUnauthenticated
//	4xx                 any          other                    ErrMisconfigured
//	200, 201            4xx          other                    ErrMisconfigured
//	200, 201            5xx, 6xx     other                    ErrUnavailable
//	200, 201 to POST    200          absent, null, 0          success, or ErrMalformed if data cannot be used
//	200, 201            any          any                      ErrMalformed
//
// These are [*APIError] values. A body that cannot be read has no statusCode and
// no apiCode, so a 200 with such a body is malformed, and any other answer is what
// its status says.
//
// The other failures:
//
//	no connection, no answer in time, broken off    *TransportError   ErrUnavailable
//	rows of a list without id or type               *PartialError     ErrMalformed
//	a token that is not one (RFC 6750), no call                       ErrUnauthenticated
//	an argument is missing, a zero Client, no call                    ErrMisconfigured
//	what Check finds                                *CheckError       that of its cause
//	the caller's own context has ended                                ctx.Err()
//
// The last one matches no sentinel of this package: it says nothing about
// GenAuth. No method tries again by itself; [TransportError.Retryable] says when
// that makes sense.
//
// # Secrets
//
// The token goes into the Authorization header of one host and nowhere else (the
// MFA token of [Client.IntrospectMFAToken] into the body). Redirects are not
// followed. No error holds a token, a code, the application id or a URL query,
// also if GenAuth or a transport repeats one.
package client
