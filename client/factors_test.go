package client_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

func TestListEnrolledFactorsRequest(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		prefix string
		option func(*client.Config)
		header string
		agent  string
	}{
		"defaults":    {"", func(*client.Config) {}, "X-Authing-App-Id", "echomfa"},
		"header name": {"", func(c *client.Config) { c.AppIDHeader = "x-genauth-app-id" }, "X-Genauth-App-Id", "echomfa"},
		"user agent":  {"", func(c *client.Config) { c.UserAgent = "portal/1" }, "X-Authing-App-Id", "portal/1"},
		"prefix":      {"/sso", func(c *client.Config) { c.BaseURL += "/sso/" }, "X-Authing-App-Id", "echomfa"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, http.MethodGet, r.Method)
				assert.Equal(t, tt.prefix+"/api/v3/list-enrolled-factors", r.RequestURI)
				assert.Zero(t, r.ContentLength)
				assert.Equal(t, http.Header{
					"Accept":          {"application/json"},
					"Accept-Encoding": {"identity"},
					"Authorization":   {"Bearer " + testToken},
					"User-Agent":      {tt.agent},
					tt.header:         {testAppID},
				}, r.Header)
				_, _ = w.Write([]byte(`{"statusCode":200,"data":[]}`))
			}, tt.option)
			factors, err := c.ListEnrolledFactors(t.Context(), testToken)
			require.NoError(t, err)
			assert.NotNil(t, factors)
			assert.Empty(t, factors)
		})
	}
}

func TestListEnrolledFactorsGolden(t *testing.T) {
	t.Parallel()
	const id = "0a1b2c3d4e5f60718293a4b"
	tests := map[string]struct {
		want    []client.Factor
		skipped int
		wantErr error
	}{
		"one":               {want: []client.Factor{{ID: id + "5", Type: client.OTP, Profile: map[string]any{}}}},
		"documented-object": {want: []client.Factor{{ID: id + "5", Type: client.SMS, Profile: map[string]any{"phoneNumber": "5550100", "phoneCountryCode": "+1"}}}},
		"mixed": {want: []client.Factor{
			{ID: id + "5|email", Type: client.Email, Profile: map[string]any{"email": "ann@example.com"}},
			{ID: id + "5|phone", Type: client.SMS, Profile: map[string]any{"phoneNumber": "5550100"}},
			{ID: id + "6", Type: client.OTP},
			{ID: id + "7", Type: client.Face},
			{ID: id + "8", Type: client.Passkey},
			{ID: id + "9", Type: "palmVein"},
		}},
		"empty":     {want: []client.Factor{}},
		"partial":   {want: []client.Factor{{ID: id + "5", Type: client.OTP}}, skipped: 7, wantErr: client.ErrMalformed},
		"no-data":   {wantErr: client.ErrMalformed},
		"null-data": {wantErr: client.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFakeClient(t, answer(200, nil, golden(t, "list-enrolled-factors", name+".json")))
			factors, err := c.ListEnrolledFactors(t.Context(), testToken)
			assert.Equal(t, tt.want, factors)
			require.ErrorIs(t, err, tt.wantErr)
			var partial *client.PartialError
			if assert.Equal(t, tt.skipped > 0, errorsAs(err, &partial)) && partial != nil {
				assert.Equal(t, tt.skipped, partial.Skipped)
				assertClass(t, client.ErrMalformed, err)
				assert.EqualError(t, err, "client: partial list: 7 rows skipped")
			}
		})
	}
}

func TestNullDataMeansNone(t *testing.T) {
	t.Parallel()
	option := func(c *client.Config) { c.NullDataMeansNone = true }
	tests := map[string]struct {
		body string
		ok   bool
	}{
		"null":             {`{"statusCode":200,"data":null}`, true},
		"absent":           {`{"statusCode":200}`, false},
		"null, not logged": {`{"statusCode":401,"data":null}`, false},
		"string":           {`{"statusCode":200,"data":"null"}`, false},
		"false":            {`{"statusCode":200,"data":false}`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFakeClient(t, answer(200, nil, tt.body), option)
			factors, err := c.ListEnrolledFactors(t.Context(), testToken)
			assert.Equal(t, tt.ok, err == nil, err)
			assert.Equal(t, tt.ok, factors != nil)
			assert.Empty(t, factors)
		})
	}
}

// TestWBNullDataNamesTheOption tells an operator what to do about such a GenAuth.
func TestWBNullDataNamesTheOption(t *testing.T) {
	t.Parallel()
	_, err := newFakeClient(t, answer(200, nil, `{"statusCode":200,"data":null}`)).ListEnrolledFactors(t.Context(), testToken)
	require.ErrorIs(t, err, client.ErrMalformed)
	require.ErrorContains(t, err, "data is null; NullDataMeansNone")
}

func TestT12AnswersThatAreNotBelieved(t *testing.T) {
	t.Parallel()
	const row = `{"factorId":"1","factorType":"OTP"}`
	tests := map[string]string{
		"empty":                             ``,
		"white space":                       " \n",
		"HTML":                              `<html><body>{"statusCode":200,"data":[]}</body></html>`,
		"null":                              `null`,
		"array":                             `[` + row + `]`,
		"array of an envelope":              `[{"statusCode":200,"data":[]}]`,
		"string":                            `"{\"statusCode\":200,\"data\":[]}"`,
		"true":                              `true`,
		"empty object":                      `{}`,
		"trailing value":                    `{"statusCode":200,"data":[]}{}`,
		"trailing bracket":                  `{"statusCode":200,"data":[]}]`,
		"trailing text":                     `{"statusCode":200,"data":[]}x`,
		"trailing NUL":                      "{\"statusCode\":200,\"data\":[]}\x00",
		"byte order mark":                   "\ufeff" + `{"statusCode":200,"data":[]}`,
		"comment":                           `{"statusCode":200,/**/"data":[]}`,
		"single quotes":                     `{'statusCode':200,'data':[]}`,
		"trailing comma":                    `{"statusCode":200,"data":[],}`,
		"NaN":                               `{"statusCode":200,"data":[],"x":NaN}`,
		"duplicate statusCode":              `{"statusCode":401,"statusCode":200,"data":[]}`,
		"duplicate statusCode, escaped":     `{"statusCode":401,"st\u0061tusCode":200,"data":[]}`,
		"duplicate data":                    `{"statusCode":200,"data":[],"data":[` + row + `]}`,
		"duplicate unknown":                 `{"statusCode":200,"data":[],"x":1,"x":1}`,
		"duplicate in a row":                `{"statusCode":200,"data":[{"factorId":"1","factorType":"SMS","factorType":"OTP"}]}`,
		"duplicate unknown in a row":        `{"statusCode":200,"data":[{"factorId":"1","factorType":"SMS","x":1,"x":2}]}`,
		"duplicate in a second row":         `{"statusCode":200,"data":[` + row + `,{"factorId":"1","factorId":"2","factorType":"SMS"}]}`,
		"duplicate in the object":           `{"statusCode":200,"data":{"factorId":"1","factorId":"2","factorType":"SMS"}}`,
		"case variant statusCode":           `{"statuscode":200,"data":[]}`,
		"case variant StatusCode":           `{"StatusCode":200,"data":[]}`,
		"case variant statusCode, long s":   `{"ſtatusCode":200,"data":[]}`,
		"case variant data":                 `{"statusCode":200,"Data":[]}`,
		"code in place of statusCode":       `{"code":200,"data":[]}`,
		"statusCode inside data":            `{"data":{"statusCode":200,"data":[]}}`,
		"data a string":                     `{"statusCode":200,"data":"[]"}`,
		"data a number":                     `{"statusCode":200,"data":0}`,
		"data false":                        `{"statusCode":200,"data":false}`,
		"invalid UTF-8 in a type":           "{\"statusCode\":200,\"data\":[{\"factorId\":\"1\",\"factorType\":\"OTP\xff\"}]}",
		"invalid UTF-8 elsewhere":           "{\"statusCode\":200,\"data\":[],\"message\":\"\xc3\x28\"}",
		"overlong UTF-8":                    "{\"statusCode\":200,\"data\":[],\"message\":\"\xc0\xaf\"}",
		"UTF-16":                            "\xfe\xff\x00{\x00}",
		"nested too deep":                   `{"statusCode":200,"data":[],"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
		"nested too deep in a profile":      `{"statusCode":200,"data":[{"factorId":"1","factorType":"OTP","profile":` + strings.Repeat(`{"a":`, 20000) + `1` + strings.Repeat("}", 20000) + `}]}`,
		"problem document":                  `{"type":"about:blank","status":200}`,
		"OAuth error":                       `{"error":"invalid_grant","error_description":"grant request is invalid"}`,
		"null statusCode, good otherwise":   `{"statusCode":null,"data":[` + row + `]}`,
		"boolean statusCode":                `{"statusCode":true,"data":[` + row + `]}`,
		"two concatenated good answers":     `{"statusCode":200,"data":[]} {"statusCode":200,"data":[]}`,
		"server-sent event of a good thing": "data: {\"statusCode\":200,\"data\":[]}\n\n",
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFakeClient(t, answer(200, nil, body))
			factors, err := c.ListEnrolledFactors(t.Context(), testToken)
			assert.Nil(t, factors)
			assertClass(t, client.ErrMalformed, err)

			// Nothing of what such a body says counts, whatever the status.
			c = newFakeClient(t, answer(500, nil, body))
			_, err = c.ListEnrolledFactors(t.Context(), testToken)
			assertClass(t, client.ErrUnavailable, err)
		})
	}
}

// TestT12NothingOfAnUnreadableAnswerCounts has codes in front of what makes the
// answer unreadable.
func TestT12NothingOfAnUnreadableAnswerCounts(t *testing.T) {
	t.Parallel()
	c := newFakeClient(t, answer(403, nil, `{"apiCode":2020,"statusCode":401,"message":"m","x":1,"x":1}`))
	_, err := c.ListEnrolledFactors(t.Context(), testToken)
	var e *client.APIError
	require.ErrorAs(t, err, &e)
	assert.Zero(t, e.StatusCode)
	assert.Zero(t, e.APICode)
	assert.Empty(t, e.Message)
	assertClass(t, client.ErrMisconfigured, err)
}

func TestT12TruncatedAnswerIsNeverASuccess(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "documented-object", "mixed", "empty", "partial"} {
		body := strings.TrimSpace(golden(t, "list-enrolled-factors", name+".json"))
		for n := range len(body) {
			c := newFakeClient(t, answer(200, nil, body[:n]))
			factors, err := c.ListEnrolledFactors(t.Context(), testToken)
			require.Nil(t, factors, "%s cut at %d", name, n)
			require.ErrorIs(t, err, client.ErrMalformed, "%s cut at %d", name, n)
		}
	}
}

func TestSingleObjectIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var (
		log bytes.Buffer
		mu  sync.Mutex
	)
	logger := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil))
	body := golden(t, "list-enrolled-factors", "documented-object.json")
	c := newFakeClient(t, answer(200, nil, body), func(c *client.Config) { c.Logger = logger })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			factors, err := c.ListEnrolledFactors(t.Context(), testToken)
			assert.NoError(t, err)
			assert.Len(t, factors, 1)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
	assert.Contains(t, log.String(), "level=WARN")
	assert.NotContains(t, log.String(), "5550100")

	log.Reset()
	c = newFakeClient(t, answer(200, nil, `{"statusCode":200,"data":[]}`), func(c *client.Config) { c.Logger = logger })
	_, err := c.ListEnrolledFactors(t.Context(), testToken)
	require.NoError(t, err)
	assert.Empty(t, log.String())
}

func TestRowLimits(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("T", 128)
	c := newFakeClient(t, answer(200, nil, `{"statusCode":200,"data":[
		{"factorId":"1","factorType":"`+longest+`"},
		{"factorId":"2","factorType":"`+longest+`T"}]}`))
	factors, err := c.ListEnrolledFactors(t.Context(), testToken)
	assert.Equal(t, []client.Factor{{ID: "1", Type: client.FactorType(longest)}}, factors)
	var partial *client.PartialError
	require.ErrorAs(t, err, &partial)
	assert.Equal(t, 1, partial.Skipped)
}

func TestTooManyRowsAreMalformed(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]error{1000: nil, 1001: client.ErrMalformed} {
		rows := strings.Repeat(`,{"factorId":"1","factorType":"OTP"}`, n)
		c := newFakeClient(t, answer(200, nil, `{"statusCode":200,"data":[`+rows[1:]+`]}`))
		factors, err := c.ListEnrolledFactors(t.Context(), testToken)
		if want == nil {
			require.NoError(t, err)
			assert.Len(t, factors, n)
			continue
		}
		assertClass(t, want, err)
		assert.Nil(t, factors)
	}
}

func TestFactorLogValueHasNoProfile(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("factor", "factor",
		client.Factor{ID: "1", Type: client.SMS, Profile: map[string]any{"phoneNumber": "5550100"}})
	assert.Contains(t, log.String(), `"factor":{"id":"1","type":"SMS"}`)
	assert.NotContains(t, log.String(), "5550100")
}
