package client

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// What a zero field of [Config] stands for.
const (
	// DefaultTimeout is the default of Config.Timeout.
	DefaultTimeout = 2 * time.Second
	// DefaultMaxBodyBytes is the default of Config.MaxBodyBytes: 1 MiB.
	DefaultMaxBodyBytes = 1 << 20
	// DefaultAppIDHeader is the default of Config.AppIDHeader.
	DefaultAppIDHeader = "x-authing-app-id"
	// DefaultUserAgent is the default of Config.UserAgent.
	DefaultUserAgent = "echomfa"
)

// Config says which GenAuth application a [Client] calls, and how.
//
// BaseURL and AppID are required; every other field has a usable zero value.
// [New] copies what it needs: later changes have no effect on the client.
type Config struct {
	// BaseURL is the address of the application at GenAuth, such as
	// "https://example.genauth.ai": the console calls it the authentication
	// address. Required.
	//
	// It must be an https URL, or an http URL of the loopback interface
	// (localhost, 127.0.0.0/8, ::1), without user info, query and fragment. A
	// path is kept as a prefix of every call; a trailing slash is dropped.
	BaseURL string

	// AppID is the id of the application, sent with every call. Required.
	AppID string

	// AppIDHeader is the name of the header that carries AppID.
	// Optional. Default value [DefaultAppIDHeader].
	//
	// White-label deployments of GenAuth may use another prefix.
	AppIDHeader string

	// HTTPClient supplies the transport and, if it has one, an upper limit for
	// Timeout. Optional. By default, also if its Transport is nil, the client
	// makes a transport of its own.
	//
	// Only these two fields are read, and nothing is changed: its cookie jar
	// and its redirect policy are not used, because the client neither keeps
	// cookies nor follows redirects. The transport sees the token.
	HTTPClient *http.Client

	// WrapTransport returns a transport that calls the one it is given, for instance to
	// trace calls. It is asked for the transport of HTTPClient, or the client's own, and
	// once more for the connections that long tokens have for themselves. What it
	// returns sees the token, and is not nil. Optional. Default: the transport is used
	// as it is.
	WrapTransport func(http.RoundTripper) http.RoundTripper

	// Timeout limits one exchange with GenAuth, from connecting to the last
	// byte of the answer. Optional. Default value [DefaultTimeout].
	Timeout time.Duration

	// MaxBodyBytes limits the length of an answer; a longer one is malformed.
	// Optional. Default value [DefaultMaxBodyBytes].
	MaxBodyBytes int64

	// UserAgent is the User-Agent of every call.
	// Optional. Default value [DefaultUserAgent].
	UserAgent string

	// NullDataMeansNone makes a successful answer with "data": null mean an
	// empty list. Optional. By default it is malformed, because GenAuth
	// documents an array: a list that went missing is not an empty list.
	NullDataMeansNone bool

	// InsecureHTTP allows an http URL of any host. The token then crosses the
	// network in clear text, and anybody who reads it can use it.
	InsecureHTTP bool

	// Logger gets a warning, once per client, when GenAuth sends a single
	// object for a list. Optional. By default nothing is logged.
	Logger *slog.Logger
}

// New returns a client for c, or an error that joins one error for every
// mistake in c, each naming its field. No error quotes a field's value.
func New(c Config) (*Client, error) {
	base, baseErr := parseBaseURL(c.BaseURL, c.InsecureHTTP)
	errs := []error{
		baseErr,
		checkAppID(c.AppID),
		checkAppIDHeader(c.AppIDHeader),
		checkUserAgent(c.UserAgent),
	}
	errs = append(errs, checkTimeout("Timeout", "", c.Timeout))
	if c.MaxBodyBytes < 0 {
		errs = append(errs, mistake("MaxBodyBytes", "is negative"))
	}
	if c.MaxBodyBytes > maxMaxBodyBytes {
		errs = append(errs, mistake("MaxBodyBytes", fmt.Sprintf("is over %d", maxMaxBodyBytes)))
	}
	if c.HTTPClient != nil {
		errs = append(errs, checkTimeout("HTTPClient", "its Timeout ", c.HTTPClient.Timeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}

	cl := &Client{
		base:         base,
		appID:        c.AppID,
		appIDHeader:  cmp.Or(c.AppIDHeader, DefaultAppIDHeader),
		userAgent:    cmp.Or(c.UserAgent, DefaultUserAgent),
		timeout:      cmp.Or(c.Timeout, DefaultTimeout),
		maxBody:      cmp.Or(c.MaxBodyBytes, DefaultMaxBodyBytes),
		nullIsNone:   c.NullDataMeansNone,
		logger:       c.Logger,
		warnOnObject: new(sync.Once),
	}
	if cl.logger == nil {
		cl.logger = slog.New(slog.DiscardHandler)
	}
	if c.HTTPClient != nil {
		cl.transport = c.HTTPClient.Transport
		if c.HTTPClient.Timeout > 0 {
			cl.timeout = min(cl.timeout, c.HTTPClient.Timeout)
		}
	}
	if cl.transport == nil {
		cl.transport = newTransport()
	}
	cl.pool, cl.apart, cl.http1 = cl.transport, apart(cl.transport), new(atomic.Bool)
	if wrap, apart := c.WrapTransport, cl.apart; wrap != nil {
		cl.transport, cl.apart = wrap(cl.pool), sync.OnceValue(func() http.RoundTripper { return wrap(apart()) })
	}
	if cl.transport == nil {
		return nil, mistake("WrapTransport", "returned nil")
	}
	return cl, nil
}

// maxMaxBodyBytes keeps MaxBodyBytes plus one from overflowing, and a
// configuration mistake from becoming a way to fill the memory.
const maxMaxBodyBytes = 1 << 30

// minTimeout is what no exchange is faster than: a number without a unit is a
// number of nanoseconds, and every call would fail.
const minTimeout = time.Millisecond

func checkTimeout(field, which string, d time.Duration) error {
	switch {
	case d < 0:
		return mistake(field, which+"is negative")
	case d > 0 && d < minTimeout:
		return mistake(field, fmt.Sprintf("%sis below %v: is the unit missing?", which, minTimeout))
	}
	return nil
}

// mistake never quotes the field's value: a URL may hold a password.
func mistake(field, what string) error {
	return fmt.Errorf("client: %s: %s", field, what)
}

// parseBaseURL returns raw without its trailing slash.
func parseBaseURL(raw string, insecureHTTP bool) (string, error) {
	const field = "BaseURL"
	if raw == "" {
		return "", mistake(field, "is required")
	}
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] >= 0x7f || raw[i] == '\\' {
			return "", mistake(field, "has a character that is not allowed in a URL")
		}
	}
	if lower := strings.ToLower(raw); !strings.Contains(raw, "://") && !strings.HasPrefix(lower, "https:") && !strings.HasPrefix(lower, "http:") {
		if u, err := url.Parse("http://" + raw); err == nil && isLoopback(u.Hostname()) { // an emulator
			return "", mistake(field, "is not a URL: put http:// before it")
		}
		return "", mistake(field, "is not an https URL: put https:// before it")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", mistake(field, "is not a URL")
	}
	var what string
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		what = "is not an https URL"
	case u.Opaque != "" || u.Hostname() == "":
		what = "has no host"
	case !validPort(u):
		what = "has a bad port"
	case u.User != nil:
		what = "has user info"
	case u.RawQuery != "" || u.ForceQuery:
		what = "has a query"
	case strings.Contains(raw, "#"):
		what = "has a fragment"
	case !cleanPath(u.Path):
		what = "has a path with empty or dot segments"
	case hasOwnPath(u.Path):
		what = "has a path of GenAuth's API or OpenID provider: leave out /api/v3 or /oidc and what follows, every call adds its own"
	case u.Scheme == "http" && !insecureHTTP && !isLoopback(u.Hostname()):
		what = "is an http URL of a host that is not the loopback interface; use https, or set InsecureHTTP"
	default:
		return strings.TrimSuffix(u.String(), "/"), nil
	}
	return "", mistake(field, what)
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

func cleanPath(path string) bool {
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return true
	}
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// hasOwnPath reports whether a path is one of GenAuth's API or of its OpenID
// provider, which the console shows beside the app's address.
func hasOwnPath(path string) bool {
	path = strings.TrimSuffix(path, "/") + "/"
	return strings.Contains(path, "/api/v3/") || strings.Contains(path, "/oidc/") || strings.Contains(path, "/.well-known/")
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func checkAppID(id string) error {
	if id == "" {
		return mistake("AppID", "is required")
	}
	for i := range len(id) {
		if id[i] <= ' ' || id[i] >= 0x7f {
			return mistake("AppID", "has a character that is not visible ASCII")
		}
	}
	return nil
}

func checkUserAgent(agent string) error {
	for i := range len(agent) {
		if agent[i] < ' ' || agent[i] >= 0x7f {
			return mistake("UserAgent", "has a character that is not printable ASCII")
		}
	}
	return nil
}

func checkAppIDHeader(name string) error {
	for i := range len(name) {
		if !isHeaderByte(name[i]) {
			return mistake("AppIDHeader", "is not a header name")
		}
	}
	// Headers that the client sets itself, and those that say how a message
	// is delivered: giving one of them to the app id would break calls, or
	// overwrite the credential.
	switch lower := strings.ToLower(name); {
	case strings.HasPrefix(lower, "proxy-"), strings.HasPrefix(lower, "content-"):
		return mistake("AppIDHeader", "is a header with a meaning of its own")
	default:
		switch lower {
		case "authorization", "host", "cookie", "user-agent", "accept", "accept-encoding",
			"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "range":
			return mistake("AppIDHeader", "is a header with a meaning of its own")
		}
	}
	return nil
}

// isHeaderByte reports whether b is a tchar of RFC 9110, section 5.6.2.
func isHeaderByte(b byte) bool {
	switch {
	case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}
