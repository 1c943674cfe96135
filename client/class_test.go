package client_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

func sentinels() []error {
	return []error{
		client.ErrUnauthenticated, client.ErrRateLimited, client.ErrMisconfigured,
		client.ErrMalformed, client.ErrUnavailable,
	}
}

// assertClass checks that err matches want and none of the other sentinels.
func assertClass(t *testing.T, want, err error, msg ...any) {
	t.Helper()
	for _, sentinel := range sentinels() {
		if sentinel == want {
			assert.ErrorIs(t, err, sentinel, msg...)
		} else {
			assert.NotErrorIs(t, err, sentinel, msg...)
		}
	}
}

// TestT12Precedence goes through the table of the package comment. Every body
// has good data: only the codes keep it from being believed.
func TestT12Precedence(t *testing.T) {
	t.Parallel()
	tests := []struct {
		http    int
		status  string // JSON of statusCode; "" leaves it out
		apiCode string // JSON of apiCode; "" leaves it out
		want    error
	}{
		// success, in all its forms
		{200, `200`, ``, nil},
		{200, `200`, `0`, nil},
		{200, `200`, `"0"`, nil},
		{200, `200`, `null`, nil},

		// the HTTP status alone decides
		{429, `200`, ``, client.ErrRateLimited},
		{429, `401`, `2020`, client.ErrRateLimited},
		{500, `200`, ``, client.ErrUnavailable},
		{500, `401`, `2020`, client.ErrUnavailable},
		{502, `400`, ``, client.ErrUnavailable},
		{503, `429`, ``, client.ErrUnavailable},
		{504, ``, ``, client.ErrUnavailable},
		{603, `200`, ``, client.ErrUnavailable},
		{699, `200`, ``, client.ErrUnavailable},
		{700, `200`, ``, client.ErrMalformed},
		{301, `200`, ``, client.ErrMalformed},
		{302, `401`, `2020`, client.ErrMalformed},
		{307, `200`, ``, client.ErrMalformed},
		{304, `200`, ``, client.ErrMalformed},
		{399, `200`, ``, client.ErrMalformed},

		// no success of this call
		{201, `200`, ``, client.ErrMalformed},
		{202, `200`, ``, client.ErrMalformed},
		{206, `200`, ``, client.ErrMalformed},
		{206, `401`, `2020`, client.ErrMalformed},
		{299, `429`, ``, client.ErrMalformed},

		// throttling in the body
		{200, `429`, ``, client.ErrRateLimited},
		{200, `429`, `2020`, client.ErrRateLimited},
		{403, `429`, ``, client.ErrRateLimited},

		// apiCode, as a number and as a string, above statusCode
		{200, `401`, `2011`, client.ErrMisconfigured},
		{200, `499`, `"2011"`, client.ErrMisconfigured},
		{401, `401`, `2224`, client.ErrMisconfigured},
		{200, `500`, `2224`, client.ErrMisconfigured},
		{200, `200`, `2011`, client.ErrMisconfigured},
		{200, `401`, `2020`, client.ErrUnauthenticated},
		{200, `403`, `2020`, client.ErrUnauthenticated},
		{200, `403`, `"2020"`, client.ErrUnauthenticated},
		{200, `500`, `2020`, client.ErrUnauthenticated},
		{200, `200`, `2020`, client.ErrUnauthenticated},
		{200, `403`, `2120008`, client.ErrUnauthenticated},
		{200, `403`, `2130010`, client.ErrUnauthenticated},
		{400, `400`, `2020`, client.ErrUnauthenticated},

		// 401 on either level
		{401, `200`, ``, client.ErrUnauthenticated},
		{401, ``, ``, client.ErrUnauthenticated},
		{401, `500`, ``, client.ErrUnauthenticated},
		{401, `401`, `1`, client.ErrUnauthenticated},
		{200, `401`, ``, client.ErrUnauthenticated},
		{200, `401`, `0`, client.ErrUnauthenticated},
		{200, `401`, `"x"`, client.ErrUnauthenticated},
		{403, `401`, ``, client.ErrUnauthenticated},

		// other 4xx on either level
		{400, `200`, ``, client.ErrMisconfigured},
		{403, `403`, ``, client.ErrMisconfigured},
		{404, ``, ``, client.ErrMisconfigured},
		{422, `500`, ``, client.ErrMisconfigured},
		{200, `400`, ``, client.ErrMisconfigured},
		{200, `402`, ``, client.ErrMisconfigured},
		{200, `403`, `2333`, client.ErrMisconfigured},
		{200, `404`, ``, client.ErrMisconfigured},
		{200, `422`, ``, client.ErrMisconfigured},
		{200, `499`, ``, client.ErrMisconfigured},

		// trouble in the body
		{200, `500`, ``, client.ErrUnavailable},
		{200, `502`, ``, client.ErrUnavailable},
		{200, `504`, `4021`, client.ErrUnavailable},
		{200, `601`, ``, client.ErrUnavailable},
		{200, `603`, ``, client.ErrUnavailable},
		{200, `699`, ``, client.ErrUnavailable},

		// the rest
		{200, `200`, `1`, client.ErrMalformed},
		{200, `200`, `-1`, client.ErrMalformed},
		{200, `200`, `200`, client.ErrMalformed},
		{200, `200`, `""`, client.ErrMalformed},
		{200, `200`, `"00"`, client.ErrMalformed},
		{200, `200`, `"x"`, client.ErrMalformed},
		{200, `200`, `-0`, client.ErrMalformed},
		{200, `200`, `0.0`, client.ErrMalformed},
		{200, `200`, `false`, client.ErrMalformed},
		{200, `200`, `[]`, client.ErrMalformed},
		{200, `200`, `99999999999999999999`, client.ErrMalformed},
		{200, ``, ``, client.ErrMalformed},
		{200, ``, `2020`, client.ErrUnauthenticated},
		{200, `null`, ``, client.ErrMalformed},
		{200, `"200"`, ``, client.ErrMalformed},
		{200, `200.0`, ``, client.ErrMalformed},
		{200, `2e2`, ``, client.ErrMalformed},
		{200, `true`, ``, client.ErrMalformed},
		{200, `201`, ``, client.ErrMalformed},
		{200, `0`, ``, client.ErrMalformed},
		{200, `-200`, ``, client.ErrMalformed},
		{200, `302`, ``, client.ErrMalformed},
		{200, `700`, ``, client.ErrMalformed},
		{200, `18446744073709551816`, ``, client.ErrMalformed}, // 2^64 + 200
	}
	for _, tt := range tests {
		name := fmt.Sprintf("HTTP %d statusCode %s apiCode %s", tt.http, tt.status, tt.apiCode)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := `{"data":[{"factorId":"1","factorType":"OTP"}],"message":"m"`
			if tt.status != "" {
				body += `,"statusCode":` + tt.status
			}
			if tt.apiCode != "" {
				body += `,"apiCode":` + tt.apiCode
			}
			c := newFakeClient(t, answer(tt.http, nil, body+"}"))
			factors, err := c.ListEnrolledFactors(t.Context(), testToken)
			if tt.want == nil {
				require.NoError(t, err)
				assert.Len(t, factors, 1)
				return
			}
			assert.Nil(t, factors)
			assertClass(t, tt.want, err)
			var e *client.APIError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, tt.http, e.HTTPStatus)
			if n, convErr := strconv.Atoi(tt.status); convErr == nil {
				assert.Equal(t, n, e.StatusCode)
			}
		})
	}
}

func TestIsWrongCode(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		want bool
	}{
		"nil":             {nil, false},
		"other error":     {assert.AnError, false},
		"6001":            {&client.APIError{HTTPStatus: 200, StatusCode: 400, APICode: 6001}, true},
		"6002":            {&client.APIError{HTTPStatus: 200, StatusCode: 400, APICode: 6002}, true},
		"6003":            {&client.APIError{HTTPStatus: 200, StatusCode: 400, APICode: 6003}, true},
		"6004":            {&client.APIError{HTTPStatus: 200, StatusCode: 400, APICode: 6004}, true},
		"2001":            {&client.APIError{HTTPStatus: 200, StatusCode: 499, APICode: 2001}, true},
		"2300":            {&client.APIError{HTTPStatus: 200, StatusCode: 499, APICode: 2300}, true},
		"wrapped":         {fmt.Errorf("w: %w", &client.APIError{HTTPStatus: 200, StatusCode: 400, APICode: 6001}), true},
		"with status 200": {&client.APIError{HTTPStatus: 200, StatusCode: 200, APICode: 6001}, true},
		"in an outage":    {&client.APIError{HTTPStatus: 500, StatusCode: 400, APICode: 6001}, false},
		"6005":            {&client.APIError{HTTPStatus: 200, StatusCode: 400, APICode: 6005}, false},
		"not logged in":   {&client.APIError{HTTPStatus: 200, StatusCode: 401, APICode: 2020}, false},
	}
	for name, tt := range tests {
		assert.Equal(t, tt.want, client.IsWrongCode(tt.err), name)
	}
}
