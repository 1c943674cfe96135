package client

import (
	"errors"
	"net/http"
)

// The business codes that decide the class of an answer, as GenAuth documents
// them.
const (
	codeNotLoggedIn      = 2020
	codeNoApplication    = 2011
	codeNoUserPool       = 2224
	codeUserDisabled     = 2120008
	codeTenantNotAllowed = 2130010
)

// classify returns the sentinel of an answer that is not a usable success. The
// first rule that fits decides; the package comment shows them as a table.
func classify(httpStatus, statusCode, apiCode int) error {
	switch {
	case httpStatus == http.StatusTooManyRequests:
		return ErrRateLimited
	case 500 <= httpStatus && httpStatus <= 699:
		return ErrUnavailable
	case httpStatus != http.StatusOK && httpStatus != http.StatusCreated && !is4xx(httpStatus):
		return ErrMalformed
	case statusCode == http.StatusTooManyRequests:
		return ErrRateLimited
	case apiCode == codeNoApplication, apiCode == codeNoUserPool:
		return ErrMisconfigured
	case apiCode == codeNotLoggedIn, apiCode == codeUserDisabled, apiCode == codeTenantNotAllowed:
		return ErrUnauthenticated
	case httpStatus == http.StatusUnauthorized, statusCode == http.StatusUnauthorized:
		return ErrUnauthenticated
	case is4xx(httpStatus), is4xx(statusCode):
		return ErrMisconfigured
	case 500 <= statusCode && statusCode <= 699:
		return ErrUnavailable
	default:
		return ErrMalformed
	}
}

func is2xx(status int) bool { return 200 <= status && status <= 299 }
func is4xx(status int) bool { return 400 <= status && status <= 499 }

// oddStatus says what is wrong with an HTTP status which is neither the success
// nor a failure that has a word of its own.
func oddStatus(status int) string {
	if is2xx(status) {
		return "GenAuth documents no such success of this call"
	}
	return ""
}

// IsWrongCode reports whether err is GenAuth saying that the code the user typed
// is wrong, expired or missing, so that the user can be asked again.
//
// GenAuth documents the codes 6001 (wrong TOTP code), 6002 (wrong recovery
// code), 6003 and 6004 (the code is missing), and its older pages 2001 (wrong
// code) and 2300 (expired code). That enroll-factor and mfa-totp-verify answer
// with them is inferred: no document lists the codes of a single endpoint.
func IsWrongCode(err error) bool {
	var e *APIError
	if !errors.As(err, &e) || !errors.Is(e, ErrMisconfigured) && !errors.Is(e, ErrMalformed) {
		return false
	}
	switch e.APICode {
	case 6001, 6002, 6003, 6004, 2001, 2300:
		return true
	}
	return false
}
