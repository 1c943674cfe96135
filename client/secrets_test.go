package client_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// shown returns what a program may print of v, all the errors in it included.
func shown(t *testing.T, v any) string {
	t.Helper()
	var b strings.Builder
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		_, _ = fmt.Fprintf(&b, format+"\n", v)
		_, _ = fmt.Fprintf(&b, format+"\n", struct{ V any }{v})
	}
	text, _ := json.Marshal(v)
	b.Write(text)
	text, _ = xml.Marshal(v)
	b.Write(text)
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v)
	err, isError := v.(error)
	if !isError {
		return b.String()
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			b.WriteString(shown(t, inner))
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			b.WriteString(shown(t, inner))
		}
	}
	return b.String()
}

func canaries() []string {
	return []string{testToken, testAppID, testEnrollment, "-canary", "payload-canary", fmt.Sprintf("%x", testToken)}
}

// requestError shows all of a request, as a careless transport may.
type requestError struct {
	Header http.Header
	dump   string
}

func (e *requestError) Error() string { return "failed: " + e.dump }

// fieldError hides the request from Error only.
type fieldError struct{ Header http.Header }

func (fieldError) Error() string { return "failed" }

// TestT24SecretsAreNotInErrors has servers and transports which repeat all that
// they are told, in every way they can.
func TestT24SecretsAreNotInErrors(t *testing.T) {
	t.Parallel()
	dump := func(r *http.Request) string {
		text, _ := httputil.DumpRequestOut(r, true)
		return string(text)
	}
	echo := func(status int, body func(dump string) string) transportFunc {
		return func(r *http.Request) (*http.Response, error) {
			text := dump(r)
			return answer(status, http.Header{
				"X-Request-Id": {text},
				"Retry-After":  {text},
				"Location":     {"https://example.com/?q=" + url.QueryEscape(text)},
				"Set-Cookie":   {text},
			}, body(text))(r)
		}
	}
	quote := func(s string) string {
		text, _ := json.Marshal(s)
		return string(text)
	}
	fail := func(f func(r *http.Request) error) transportFunc {
		return func(r *http.Request) (*http.Response, error) { return nil, f(r) }
	}
	transports := map[string]http.RoundTripper{
		"message": echo(200, func(s string) string {
			return `{"statusCode":401,"message":` + quote(s) + `,"requestId":` + quote(s) + `}`
		}),
		"short message": transportFunc(func(r *http.Request) (*http.Response, error) {
			text := strings.Join([]string{
				r.Header.Get("Authorization"), r.Header.Get("X-Authing-App-Id"),
				strings.Join(strings.SplitAfter(r.Header.Get("Authorization"), "canary"), "\u200b"),
				strings.Join(strings.Split(r.Header.Get("Authorization"), ""), "\x00"),
			}, " ")
			return answer(200, nil, `{"statusCode":403,"message":`+quote(text)+`,"requestId":`+quote(text)+`}`)(r)
		}),
		"other members": echo(200, func(s string) string {
			return `{"statusCode":403,` + quote(s) + `:` + quote(s) + `,"error":` + quote(s) + `}`
		}),
		"data":      echo(200, func(s string) string { return `{"statusCode":200,"data":` + quote(s) + `}` }),
		"apiCode":   echo(200, func(s string) string { return `{"statusCode":200,"apiCode":` + quote(s) + `}` }),
		"status":    echo(200, func(s string) string { return `{"statusCode":` + quote(s) + `}` }),
		"text":      echo(502, func(s string) string { return s }),
		"text, 200": echo(200, func(s string) string { return s }),
		"redirect":  echo(302, func(s string) string { return s }),
		"throttled": echo(429, func(s string) string { return `{"message":` + quote(s) + `}` }),
		"row": echo(200, func(s string) string {
			return `{"statusCode":200,"data":[{"factorId":7,"factorType":` + quote(s) + `}]}`
		}),
		"error": fail(func(r *http.Request) error { return &requestError{r.Header, dump(r)} }),
		"error with a URL": fail(func(*http.Request) error {
			return &url.Error{Op: "Get", URL: "https://example.com/?q=" + testToken, Err: syscall.ECONNRESET}
		}),
		"error with a URL of no known secret": fail(func(*http.Request) error {
			return fmt.Errorf("w: %w", &url.Error{Op: "Get", URL: "https://example.com/?q=other-canary", Err: syscall.ECONNRESET})
		}),
		"wrapped error with a URL": fail(func(r *http.Request) error {
			return fmt.Errorf("w %s: %w", r.Header.Get("Authorization"), &url.Error{Op: "Get", URL: r.URL.String(), Err: io.EOF})
		}),
		"joined errors": fail(func(r *http.Request) error {
			return errors.Join(errors.New(r.Header.Get("Authorization")), &requestError{r.Header, dump(r)})
		}),
		"field of an error": fail(func(r *http.Request) error { return fieldError{r.Header} }),
		"wrapped request": fail(func(r *http.Request) error {
			return &net.OpError{Op: "dial", Err: fmt.Errorf("w: %w", &requestError{r.Header, dump(r)})}
		}),
		"body": transportFunc(func(r *http.Request) (*http.Response, error) {
			text := dump(r)
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(readerFunc(func([]byte) (int, error) {
				return 0, &requestError{r.Header, text}
			}))}, nil
		}),
		"no answer": transportFunc(func(*http.Request) (*http.Response, error) { return nil, nil }),
	}
	for name, transport := range transports {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFakeClient(t, transport)
			for method, call := range everyCall(c) {
				err := call(t.Context(), testToken)
				if name == "data" || name == "row" {
					if method == "reset-factor" || method == "enroll-factor" {
						continue // their answers have no data to go wrong
					}
				}
				require.Error(t, err, method)
				text := shown(t, err)
				for _, canary := range canaries() {
					assert.NotContains(t, text, canary, method)
				}
				assert.NotContains(t, text, "factorId=", method)
				assert.NotContains(t, text, "0a1b2c3d4e5f60718293a4b5", method)
				assert.Less(t, len(err.Error()), 600, method)
				assert.NotContains(t, err.Error(), "\n", method)
			}
		})
	}
}

func TestT24RedactedTransportErrorIsStillKnown(t *testing.T) {
	t.Parallel()
	c := newFakeClient(t, transportFunc(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: testAppID, Err: syscall.ECONNREFUSED}
	}))
	_, err := c.ListEnrolledFactors(t.Context(), testToken)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assertClass(t, client.ErrUnavailable, err)
	var e *client.TransportError
	require.ErrorAs(t, err, &e)
	assert.True(t, e.Retryable())
	var op *net.OpError
	assert.NotErrorAs(t, err, &op)
	assert.EqualError(t, err, "client: list-enrolled-factors: dial [redacted]: connection refused")
}

func TestT24StructsRedactThemselves(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	enrollment := client.Enrollment{Token: canary, OTP: &client.OTPEnrollment{
		QRCodeURI: canary, QRCodeDataURL: canary, RecoveryCode: canary,
	}}
	request := client.EnrollRequest{Type: canary, PhoneNumber: canary, PhoneCountryCode: canary, Email: canary}
	confirmation := client.EnrollConfirmation{Type: canary, EnrollmentToken: canary, PassCode: canary, Photo: canary}
	for name, v := range map[string]any{
		"Enrollment":          enrollment,
		"*Enrollment":         &enrollment,
		"OTPEnrollment":       *enrollment.OTP,
		"*OTPEnrollment":      enrollment.OTP,
		"EnrollRequest":       request,
		"*EnrollRequest":      &request,
		"EnrollConfirmation":  confirmation,
		"*EnrollConfirmation": &confirmation,
		"slice":               []client.Enrollment{enrollment},
		"map":                 map[string]any{"a": enrollment, "b": &request},
	} {
		text := shown(t, v)
		assert.NotContains(t, text, canary, name)
		assert.NotContains(t, text, fmt.Sprintf("%x", canary), name)
		assert.Contains(t, text, "[redacted]", name)
	}
	assert.Equal(t, "[redacted]", enrollment.String())
	assert.Equal(t, "[redacted]", enrollment.GoString())
	assert.Equal(t, "[redacted]", enrollment.LogValue().String())
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	header := http.Header{"X-Request-Id": {"from-header"}, "Retry-After": {"7"}}
	tests := map[string]struct {
		status int
		body   string
		want   client.APIError
		text   string
	}{
		"all members": {
			200, `{"statusCode":403,"apiCode":"2333","message":"no\r\n\u001b[31m\u202e such","requestId":"r1"}`,
			client.APIError{StatusCode: 403, APICode: 2333, Message: "no[31m such", RequestID: "r1"},
			`client: list-enrolled-factors: HTTP 200, statusCode 403, apiCode 2333, request "r1": no[31m such`,
		},
		"none": {
			503, `<html>`,
			client.APIError{RequestID: "from-header"},
			`client: list-enrolled-factors: HTTP 503, request "from-header": the answer is not one JSON value`,
		},
		"of other types": {
			200, `{"statusCode":400,"message":{"a":1},"requestId":7}`,
			client.APIError{StatusCode: 400, RequestID: "from-header"},
			`client: list-enrolled-factors: HTTP 200, statusCode 400, request "from-header"`,
		},
		"an apiCode of another kind": {
			200, `{"statusCode":200,"apiCode":"NOT_A_NUMBER","data":[],"requestId":"r1"}`,
			client.APIError{StatusCode: 200, RequestID: "r1"},
			`client: list-enrolled-factors: HTTP 200, statusCode 200, request "r1": apiCode is not an integer`,
		},
		"long": {
			200, `{"statusCode":400,"message":"` + strings.Repeat("é", 1000) + `","requestId":"x` + strings.Repeat("é", 1000) + `"}`,
			client.APIError{StatusCode: 400, Message: strings.Repeat("é", 128), RequestID: "x" + strings.Repeat("é", 63)},
			`client: list-enrolled-factors: HTTP 200, statusCode 400, request "x` + strings.Repeat("é", 63) + `": ` + strings.Repeat("é", 128),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newFakeClient(t, answer(tt.status, header, tt.body)).ListEnrolledFactors(t.Context(), testToken)
			require.EqualError(t, err, tt.text)
			var e *client.APIError
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "list-enrolled-factors", e.Op)
			assert.Equal(t, tt.status, e.HTTPStatus)
			assert.Equal(t, tt.want.StatusCode, e.StatusCode)
			assert.Equal(t, tt.want.APICode, e.APICode)
			assert.Equal(t, tt.want.Message, e.Message)
			assert.Equal(t, tt.want.RequestID, e.RequestID)
			assert.EqualValues(t, 7_000_000_000, e.RetryAfter)
		})
	}
	assert.EqualError(t, &client.TransportError{Op: "op"}, "client: op: transport failed")
}

// The one warning that a client logs holds nothing secret either.
func TestT24LogHoldsNoSecret(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.Level(-100)}))
	body := golden(t, "list-enrolled-factors", "documented-object.json")
	c := newFakeClient(t, answer(200, nil, body), func(c *client.Config) { c.Logger = logger })
	_, err := c.ListEnrolledFactors(t.Context(), testToken)
	require.NoError(t, err)
	require.NotEmpty(t, log.String())
	for _, canary := range append(canaries(), "5550100", "0a1b2c3d") {
		assert.NotContains(t, log.String(), canary)
	}
}
