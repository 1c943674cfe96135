package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// saysFactors is a reading of an answer that is independent of the package's:
// it reports whether the answer says success, and how many rows it has.
func saysFactors(status int, body []byte) (rows int, ok bool) {
	if status != http.StatusOK {
		return 0, false
	}
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if d.Decode(&m) != nil || d.More() || m["statusCode"] != json.Number("200") {
		return 0, false
	}
	switch m["apiCode"] {
	case nil, json.Number("0"), "0":
	default:
		return 0, false
	}
	var list []any
	switch data := m["data"].(type) {
	case []any:
		list = data
	case map[string]any:
		list = []any{data}
	default:
		return 0, false
	}
	for _, element := range list {
		row, isRow := element.(map[string]any)
		id, hasID := row["factorId"].(string)
		kind, hasType := row["factorType"].(string)
		if !isRow || !hasID || !hasType || id == "" || kind == "" {
			return 0, false
		}
	}
	return len(list), true
}

func FuzzListEnrolledFactorsAnswer(f *testing.F) {
	for _, name := range []string{"one", "documented-object", "mixed", "empty", "no-data", "null-data", "partial"} {
		f.Add(200, []byte(golden(f, "list-enrolled-factors", name+".json")))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		list := func(body []byte) ([]client.Factor, error) {
			c, err := client.New(fakeConfig(answer(status, nil, string(body))))
			require.NoError(t, err)
			return c.ListEnrolledFactors(t.Context(), testToken)
		}
		factors, err := list(body)
		var partial *client.PartialError
		switch {
		case err == nil:
			rows, ok := saysFactors(status, body)
			assert.True(t, ok, "a success that nobody else can see: %q", body)
			assert.NotNil(t, factors)
			assert.Len(t, factors, rows)
		case errors.As(err, &partial):
			assert.NotNil(t, factors)
			assert.Positive(t, partial.Skipped)
		default:
			assert.Nil(t, factors)
		}
		for _, factor := range factors {
			assert.NotEmpty(t, factor.ID)
			assert.NotEmpty(t, factor.Type)
		}
		if err != nil {
			n := 0
			for _, sentinel := range sentinels() {
				if errors.Is(err, sentinel) {
					n++
				}
			}
			assert.Equal(t, 1, n, "%v matches %d sentinels", err, n)
			return
		}
		// What is cut off is never a success. White space at the end is not a
		// part of the value.
		body = bytes.TrimRight(body, " \t\r\n")
		for n := 0; n < len(body); n += 1 + len(body)/256 {
			_, err := list(body[:n])
			assert.Error(t, err, "cut at %d: %q", n, body)
		}
	})
}

func FuzzValidToken(f *testing.F) {
	for _, token := range []string{"", "a", "a=", "=", "a=a", "a b", "header.payload.signature", "a\n", "ä", "-._~+/="} {
		f.Add(token)
	}
	b64token := regexp.MustCompile(`\A[A-Za-z0-9\-._~+/]+=*\z`)
	f.Fuzz(func(t *testing.T, token string) {
		want := len(token) <= client.MaxTokenBytes && b64token.MatchString(token)
		assert.Equal(t, want, client.ValidToken(token), "%q", token)
	})
}
