package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/internal/sendonce"
)

// Client calls the MFA part of GenAuth's V3 API for the users of one
// application. It holds no token and no other state of a call, so one client
// is enough for all users, and its methods may be called concurrently. Make one with
// [New]: the methods of a nil or zero Client return an error that matches
// [ErrMisconfigured].
//
// Every method but Check takes a user's access token, which travels in the Authorization
// header, to the configured host only: no redirect is followed. No method tries
// again.
type Client struct {
	base         string
	appID        string
	appIDHeader  string
	userAgent    string
	transport    http.RoundTripper
	pool         http.RoundTripper        // transport, not wrapped
	apart        func() http.RoundTripper // for long tokens
	http1        *atomic.Bool             // the last answer came over HTTP/1
	timeout      time.Duration
	maxBody      int64
	nullIsNone   bool
	logger       *slog.Logger
	warnOnObject *sync.Once
}

// BaseURL returns the configured base URL without a trailing slash.
func (c *Client) BaseURL() string {
	if c == nil {
		return ""
	}
	return c.base
}

// AppID returns the configured application id.
func (c *Client) AppID() string {
	if c == nil {
		return ""
	}
	return c.appID
}

// CloseIdleConnections closes the connections that are not in use. If
// Config.HTTPClient brought the transport, that one is asked to do so.
func (c *Client) CloseIdleConnections() {
	if c == nil {
		return
	}
	if t, ok := c.pool.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// call is one request to GenAuth.
type call struct {
	method string
	path   string
	query  url.Values
	// token goes to the Authorization header, if it is not empty.
	token string
	// json or form is the body, if there is one.
	json any
	form url.Values
	// secrets are kept out of errors, beside the token and the application id.
	secrets []string
}

// succeeded reports whether an HTTP status says that GenAuth has done what the
// call asks for. GenAuth documents 200 for each of these calls; its own iOS
// client takes a 201 too, which only a POST can mean (RFC 9110, section 15.3.2).
// Every other 2xx says something else: done later (202), changed on the way
// (203), no content (204, 205), a part or a difference that was not asked for
// (206, 226).
func (r call) succeeded(status int) bool {
	return status == http.StatusOK || status == http.StatusCreated && r.method == http.MethodPost
}

func (r call) op() string { return r.path[strings.LastIndexByte(r.path, '/')+1:] }

func getCall(path, token string) call {
	return call{method: http.MethodGet, path: path, token: token}
}

func postCall(path, token string, body any, secrets ...string) call {
	return call{method: http.MethodPost, path: path, token: token, json: body, secrets: secrets}
}

// reply is an HTTP answer whose body was read, or why it was not.
type reply struct {
	status  int
	header  http.Header
	body    []byte
	problem string
}

// begin checks what every method with a token must check before it makes a call.
func (c *Client) begin(ctx context.Context, token string) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	if !ValidToken(token) {
		return fmt.Errorf("client: not a bearer token (RFC 6750, section 2.1): %w", ErrUnauthenticated)
	}
	return nil
}

// ready reports why no call can be made at all.
func (c *Client) ready(ctx context.Context) error {
	switch {
	case c == nil || c.base == "":
		return fmt.Errorf("client: not made by New: %w", ErrMisconfigured)
	case ctx.Err() != nil:
		return fmt.Errorf("client: %w", ctx.Err())
	}
	return nil
}

// do makes a call whose answer comes in an envelope, and returns the envelope if
// it and the HTTP status say success.
func (c *Client) do(ctx context.Context, r call) (envelope, reply, error) {
	rep, err := c.exchange(ctx, r)
	if err != nil {
		return envelope{}, reply{}, err
	}
	env := rep.envelope()
	switch {
	case rep.problem != "":
	case !env.hasStatus:
		rep.problem = "statusCode is absent"
	case env.badCode:
		rep.problem = "apiCode is not an integer"
	case !r.succeeded(rep.status):
		rep.problem = oddStatus(rep.status)
	case env.success():
		return env, rep, nil
	}
	return envelope{}, reply{}, c.failure(r, rep, env)
}

// envelope reads the body, and notes the problem if that fails.
func (rep *reply) envelope() envelope {
	if rep.problem != "" {
		return envelope{}
	}
	env, err := readEnvelope(rep.body)
	if err != nil {
		rep.problem = err.Error()
	}
	return env
}

// failure returns the error for an answer that is not a usable success.
func (c *Client) failure(r call, rep reply, env envelope) *APIError {
	id := env.requestID
	if id == "" {
		id = rep.header.Get("X-Request-Id")
	}
	secrets := c.secrets(r)
	return &APIError{
		Op:         r.op(),
		HTTPStatus: rep.status,
		StatusCode: env.statusCode,
		APICode:    env.apiCode,
		Message:    tell(env.message, secrets, maxMessageBytes),
		RequestID:  tell(id, secrets, maxRequestIDBytes),
		RetryAfter: retryAfter(rep.header.Values("Retry-After"), time.Now()),
		problem:    rep.problem,
	}
}

// unusable returns the error for an answer that says success and does not hold
// what it must hold.
func (c *Client) unusable(r call, rep reply, env envelope, cause error) error {
	rep.problem = cause.Error()
	return c.failure(r, rep, env)
}

// secrets returns what no error may hold, the longest first: a short one that is
// a part of a long one would otherwise leave pieces of it.
func (c *Client) secrets(r call) []string {
	all := append([]string{r.token, c.appID, r.query.Encode()}, r.secrets...)
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

// exchange sends r and reads the answer, all within the client's timeout.
//
// It speaks to the transport and not through http.Client, because what
// http.Client adds is what must not happen here: it follows redirects, keeps
// cookies, and puts the URL into its errors.
func (c *Client) exchange(ctx context.Context, r call) (reply, error) {
	within, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	w := new(way)
	req, err := c.request(w.traced(within), r)
	if err != nil {
		return reply{}, c.broken(ctx, r, err, nil)
	}
	if r.method == http.MethodGet && sendonce.In(ctx) && c.http1.Load() { // before an answer no connection is used again
		req.Body = once{}
	}
	transport := c.transport
	if len(r.token) > longToken {
		transport = c.apart()
	}
	resp, err := transport.RoundTrip(req)
	switch {
	case err != nil:
		return reply{}, c.broken(ctx, r, err, w)
	case resp == nil || resp.Body == nil:
		return reply{}, c.broken(ctx, r, errors.New("the transport returned no answer"), nil)
	}
	defer func() { _ = resp.Body.Close() }()
	c.http1.Store(resp.ProtoMajor == 1)

	// Reading to the end is what lets the connection be used again; closing
	// earlier, as after every error below, takes it out of use.
	rep := reply{status: resp.StatusCode, header: resp.Header}
	if resp.Uncompressed || !isIdentity(resp.Header.Values("Content-Encoding")) {
		// None was asked for, and inflating is how a small answer gets big.
		rep.problem = "the answer has a content coding"
		return rep, nil
	}
	if resp.ContentLength > c.maxBody {
		rep.problem = "the answer is too long"
		return rep, nil
	}
	rep.body, err = io.ReadAll(io.LimitReader(resp.Body, c.maxBody+1))
	switch {
	case err != nil && (ctx.Err() != nil || r.succeeded(rep.status)):
		return reply{}, c.broken(ctx, r, err, nil)
	case err != nil:
		// The status came whole and is not a success: that much is known, and
		// it may be the 401 that must not pass for an outage.
		rep.problem = "the answer broke off"
	case int64(len(rep.body)) > c.maxBody:
		rep.problem = "the answer is too long"
	}
	return rep, nil
}

func (c *Client) request(ctx context.Context, r call) (*http.Request, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var (
		body        io.Reader = http.NoBody
		contentType string
	)
	switch {
	case r.json != nil:
		text, err := json.Marshal(r.json)
		if err != nil {
			return nil, err
		}
		body, contentType = bytes.NewReader(text), "application/json"
	case r.form != nil:
		body, contentType = strings.NewReader(r.form.Encode()), "application/x-www-form-urlencoded"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	// Without it a transport of the user's may ask for gzip and inflate it.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", c.userAgent)
	req.Header.Set(c.appIDHeader, c.appID)
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req, nil
}

// broken returns the error for an exchange that did not come to its end. If the
// caller's own context has ended, that is the reason to give. The way is nil if an
// answer had begun.
func (c *Client) broken(ctx context.Context, r call, err error, w *way) error {
	if ended := ctx.Err(); ended != nil {
		err := fmt.Errorf("client: %s: %w", r.op(), ended)
		if w != nil && w.unconnected(true) {
			return &lostError{err}
		}
		return err
	}
	e := &TransportError{
		Op:       r.op(),
		Err:      withoutSecrets(err, c.secrets(r)),
		post:     r.method != http.MethodGet,
		answered: w == nil,
	}
	if w != nil && w.asked.Load() {
		e.traced, e.unconnected = true, w.unconnected(e.Timeout())
	}
	return e
}

// isIdentity reports whether the Content-Encoding lines name no coding.
func isIdentity(lines []string) bool {
	for _, line := range lines {
		if line != "" && !strings.EqualFold(line, "identity") {
			return false
		}
	}
	return true
}
