package client_test

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// goodAnswers has an answer for each call that says success and holds what the
// call needs.
func goodAnswers(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		"list-enrolled-factors":      golden(t, "list-enrolled-factors", "one.json"),
		"list-factors-to-enroll":     golden(t, "endpoints", "to-enroll.json"),
		"get-factor":                 golden(t, "endpoints", "factor.json"),
		"reset-factor":               golden(t, "endpoints", "done.json"),
		"send-enroll-factor-request": golden(t, "endpoints", "enrollment-sms.json"),
		"enroll-factor":              golden(t, "endpoints", "done.json"),
		"mfa-totp-verify":            golden(t, "endpoints", "verified.json"),
		"introspection":              golden(t, "endpoints", "introspection.json"),
	}
}

// TestH3SuccessIsTheDocumentedStatus shows, for every call, that a good body with
// another 2xx is not believed: GenAuth documents 200, and its own client takes a
// 201 as well, which a GET cannot mean.
func TestH3SuccessIsTheDocumentedStatus(t *testing.T) {
	t.Parallel()
	posts := map[string]bool{
		"reset-factor": true, "send-enroll-factor-request": true, "enroll-factor": true,
		"mfa-totp-verify": true, "introspection": true,
	}
	for method, body := range goodAnswers(t) {
		for _, status := range []int{200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 299} {
			t.Run(method+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()
				header := http.Header{"Content-Range": {"bytes 0-99/100"}}
				err := everyCall(newFakeClient(t, answer(status, header, body)))[method](t.Context(), testToken)
				if status == http.StatusOK || status == http.StatusCreated && posts[method] {
					require.NoError(t, err)
					return
				}
				assertClass(t, client.ErrMalformed, err)
				var e *client.APIError
				require.ErrorAs(t, err, &e)
				assert.Equal(t, status, e.HTTPStatus)
				assert.Contains(t, err.Error(), "GenAuth documents no such success of this call")
			})
		}
	}
}
