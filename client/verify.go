package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// MFATokenInfo is what GenAuth says about an MFA token. The zero value is that
// of a token which is not active.
type MFATokenInfo struct {
	// Active reports whether the token is an MFA token that is good now.
	Active bool
	// UserPoolID and UserID say whose token it is. They may be empty.
	UserPoolID string
	UserID     string
	// ExpiresAt and IssuedAt are zero if GenAuth does not say.
	ExpiresAt time.Time
	IssuedAt  time.Time
}

// VerifyTOTP reports whether code is right for the OTP factor of the user of
// token. GenAuth may answer a wrong code with false or with an error for which
// [IsWrongCode] is true.
//
// It calls POST /api/v3/mfa-totp-verify with {totp}. GenAuth documents data as
// {verified}. A code may be good only once, so a failed call is not repeated.
func (c *Client) VerifyTOTP(ctx context.Context, token, code string) (bool, error) {
	if err := c.begin(ctx, token); err != nil {
		return false, err
	}
	if code == "" {
		return false, missing("code")
	}
	r := postCall("/api/v3/mfa-totp-verify", token, struct {
		TOTP string `json:"totp"`
	}{code}, code)
	env, rep, err := c.do(ctx, r)
	if err != nil {
		return false, err
	}
	verified, found := false, false
	err = dataMembers(env.data, func(name string, value json.RawMessage) error {
		if name == "verified" {
			verified, found = readBool(value)
		}
		return nil
	})
	if err == nil && !found {
		err = errDataContent
	}
	if err != nil {
		return false, c.unusable(r, rep, env, err)
	}
	return verified, nil
}

// UserID returns the id of the user of token: what the claim sub says of a token that
// has claims.
//
// It calls GET /api/v3/get-profile. GenAuth documents data as the user, with userId.
func (c *Client) UserID(ctx context.Context, token string) (string, error) {
	if err := c.begin(ctx, token); err != nil {
		return "", err
	}
	r := getCall("/api/v3/get-profile", token)
	env, rep, err := c.do(ctx, r)
	if err != nil {
		return "", err
	}
	id := ""
	err = dataMembers(env.data, func(name string, value json.RawMessage) error {
		if name == "userId" {
			return json.Unmarshal(value, &id)
		}
		return nil
	})
	if err != nil || id == "" {
		return "", c.unusable(r, rep, env, errDataContent)
	}
	return id, nil
}

// IntrospectMFAToken asks GenAuth about an MFA token: the bearer token of a user
// who has given the password but not finished signing in. Such a token must not
// pass for an access token; the answer for an access token is not active.
//
// It calls POST /mfa/token/introspection with the form parameter token, which
// is why the token is in the body here, and not in the Authorization header.
// GenAuth documents a bare answer {active, userPoolId, userId, exp, iat} without
// the usual envelope.
func (c *Client) IntrospectMFAToken(ctx context.Context, token string) (MFATokenInfo, error) {
	if err := c.begin(ctx, token); err != nil {
		return MFATokenInfo{}, err
	}
	r := call{
		method:  http.MethodPost,
		path:    "/mfa/token/introspection",
		form:    url.Values{"token": {token}},
		secrets: []string{token, url.QueryEscape(token)},
	}
	rep, err := c.exchange(ctx, r)
	if err != nil {
		return MFATokenInfo{}, err
	}
	// A failure may come in the usual envelope all the same.
	env := rep.envelope()
	bare := !env.hasStatus && env.apiCode == 0 && !env.badCode
	if rep.problem == "" && !r.succeeded(rep.status) {
		rep.problem = oddStatus(rep.status)
	}
	if rep.problem != "" || !bare && !env.success() {
		return MFATokenInfo{}, c.failure(r, rep, env)
	}
	info, err := readMFATokenInfo(rep.body)
	if err != nil {
		return MFATokenInfo{}, c.unusable(r, rep, env, err)
	}
	return info, nil
}

const (
	errNoActive answerError = "active is not true or false"
	errTime     answerError = "a time is not in whole seconds"
)

func readMFATokenInfo(text []byte) (MFATokenInfo, error) {
	var info MFATokenInfo
	found := false
	err := members(text, func(name string, value json.RawMessage) error {
		var err error
		switch name {
		case "active":
			info.Active, found = readBool(value)
		case "userPoolId":
			info.UserPoolID, _ = readString(value)
		case "userId":
			info.UserID, _ = readString(value)
		case "exp":
			info.ExpiresAt, err = readTime(value)
		case "iat":
			info.IssuedAt, err = readTime(value)
		}
		return err
	})
	switch {
	case err != nil:
		return MFATokenInfo{}, err
	case !found:
		return MFATokenInfo{}, errNoActive
	case !info.Active:
		return MFATokenInfo{}, nil
	}
	return info, nil
}

func readBool(value json.RawMessage) (b, ok bool) {
	switch string(value) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

func readTime(value json.RawMessage) (time.Time, error) {
	if isNull(value) {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || n < 0 || n > maxUnix {
		return time.Time{}, errTime
	}
	return time.Unix(n, 0), nil
}

// maxUnix is the last second of the year 9999.
const maxUnix = 253402300799
