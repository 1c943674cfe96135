package genauthtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

// reply is an answer of the emulator as a client sees it.
type reply struct {
	HTTPStatus int             `json:"-"`
	Header     http.Header     `json:"-"`
	Body       string          `json:"-"`
	StatusCode int             `json:"statusCode"`
	APICode    int             `json:"apiCode"`
	Message    string          `json:"message"`
	RequestID  string          `json:"requestId"`
	Data       json.RawMessage `json:"data"`
}

// caller is a client of an emulator, for one token.
type caller struct {
	t      *testing.T
	server *genauthtest.Server
	http   *http.Client
	header http.Header
}

func start(t *testing.T, cfg ...genauthtest.Config) *genauthtest.Server {
	t.Helper()
	return genauthtest.Start(t, cfg...)
}

// as returns a client that sends a token and the app id.
func as(t *testing.T, s *genauthtest.Server, token string) *caller {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c := &caller{t: t, server: s, header: http.Header{"X-Authing-App-Id": {s.AppID()}}}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if token != "" {
		c.header.Set("Authorization", "Bearer "+token)
	}
	return c
}

// try sends a request and returns the answer.
func (c *caller) try(ctx context.Context, method, path, contentType, body string) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server.URL()+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = c.header.Clone()
	if body != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	r := &reply{HTTPStatus: resp.StatusCode, Header: resp.Header, Body: string(text)}
	if json.Valid(bytes.TrimSpace(text)) {
		_ = json.Unmarshal(text, r) // bare OIDC answers have no envelope
	}
	return r, nil
}

func (c *caller) do(method, path, contentType, body string) *reply {
	c.t.Helper()
	r, err := c.try(c.t.Context(), method, path, contentType, body)
	require.NoError(c.t, err)
	return r
}

func (c *caller) get(path string) *reply { c.t.Helper(); return c.do(http.MethodGet, path, "", "") }

func (c *caller) list() *reply { c.t.Helper(); return c.get(genauthtest.ListEnrolledFactorsPath) }

func (c *caller) post(path string, body any) *reply {
	c.t.Helper()
	text, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		require.NoError(c.t, err)
		text = string(b)
	}
	return c.do(http.MethodPost, path, "application/json", text)
}

func (c *caller) form(path string, pairs ...string) *reply {
	c.t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return c.do(http.MethodPost, path, "application/x-www-form-urlencoded", values.Encode())
}

// decode reads the data of an answer, or, if it has none, all of it.
func decode[T any](t *testing.T, r *reply) T {
	t.Helper()
	var v T
	text := []byte(r.Data)
	if text == nil {
		text = []byte(r.Body)
	}
	require.NoError(t, json.Unmarshal(text, &v), r.Body)
	return v
}

// row is a factor in an answer.
type row struct {
	ID      string                 `json:"factorId"`
	Type    genauthtest.FactorType `json:"factorType"`
	Profile map[string]any         `json:"profile"`
}

func (r *reply) types(t *testing.T) []genauthtest.FactorType {
	t.Helper()
	require.Equal(t, http.StatusOK, r.StatusCode, r.Body)
	var types []genauthtest.FactorType
	for _, f := range decode[[]row](t, r) {
		types = append(types, f.Type)
	}
	return types
}
