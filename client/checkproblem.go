package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// transportProblem says what it means that an exchange did not come to its end.
func (c *Client) transportProblem(err error, came *progress) string {
	var (
		dns       *net.DNSError
		op        *net.OpError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		family    *net.AddrError
		failed    *TransportError
	)
	switch isTimeout := errors.As(err, &failed) && failed.Timeout(); {
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "the egress proxy cannot be reached; see HTTPS_PROXY and NO_PROXY"
	case came.waitsForNames(), errors.As(err, &dns) && dns.IsTimeout:
		return "no name server answers in time; look at the DNS settings of this machine"
	case errors.As(err, &dns) && dns.IsNotFound:
		return orUnder(c.base, "the host name of BaseURL does not exist; copy the address from the console")
	case isTimeout:
		return "there is no answer in time; a firewall may drop the connections, or Timeout is too short"
	case errors.As(err, &dns):
		return "the host name of BaseURL cannot be resolved now"
	case errors.As(err, &authority):
		return "the certificate is from an authority that this machine does not know; a proxy that opens TLS needs its own authority installed"
	case errors.As(err, &host):
		return orUnder(c.base, "the certificate is for another host than that of BaseURL")
	case errors.As(err, &invalid):
		return "the certificate is not valid; it may have expired, or the clock is wrong"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		return "BaseURL says https and the server does not speak TLS"
	case c.isPlain() && strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`): // an alert of TLS
		return "BaseURL says http and the server speaks https"
	case isTLSFailure(err):
		return "the TLS handshake fails"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection is refused; nothing listens at BaseURL"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, &family):
		return "there is no route to the host; it may have only IPv6 addresses, and this machine has none"
	case !c.isPlain() && came.untunneled():
		return "the egress proxy refuses the connection, or wants credentials; see HTTPS_PROXY and NO_PROXY"
	}
	return "the connection fails"
}

// answerProblem says what it means that a GenAuth which knows the application
// does not answer so; host is where it redirects to, if that is elsewhere.
func (c *Client) answerProblem(r call, rep reply, env envelope) (problem, host string) {
	redirect := rep.redirectHost()
	switch {
	case rep.status == http.StatusProxyAuthRequired:
		return "the egress proxy wants credentials; see HTTPS_PROXY and NO_PROXY", ""
	case redirect != "" && redirect != hostOf(c.base):
		return "BaseURL redirects to another host, which is not followed", redirect
	case 300 <= rep.status && rep.status <= 399:
		return "BaseURL redirects, which is not followed; it may be http where https is spoken, or a page of the console", ""
	case c.isPlain() && rep.status == http.StatusBadRequest && rep.problem != "" && namesTLS(rep.body):
		return "BaseURL says http and the server speaks https", ""
	case env.apiCode == codeNoApplication, env.apiCode == codeNoUserPool:
		return orUnder(c.base, "GenAuth knows no such application at this address; see AppID, and AppIDHeader if the deployment renames the header"), ""
	case rep.status == http.StatusTooManyRequests, env.statusCode == http.StatusTooManyRequests:
		return "GenAuth limits the requests; this says nothing about the configuration", ""
	case rep.status >= http.StatusInternalServerError:
		return "GenAuth, or a gateway in front of it, is in trouble", ""
	case rep.isPage():
		return orUnder(c.base, "a web page comes instead of GenAuth's answer; a gateway answers, or BaseURL is the address of a site"), ""
	case rep.status == http.StatusUnauthorized:
		return "a gateway in front of GenAuth asks for credentials of its own", ""
	case rep.status == http.StatusForbidden && !env.hasStatus:
		return "a gateway in front of GenAuth refuses the request", ""
	case !r.succeeded(rep.status) && !env.hasStatus:
		return orUnder(c.base, "there is no GenAuth at BaseURL"), ""
	case rep.problem == "" && !env.success() && r.op() == "list-enrolled-factors":
		return "GenAuth rejects the call; see AppID and AppIDHeader", ""
	}
	return "the answer is not one of GenAuth", ""
}

// isPlain reports whether the calls go without TLS.
func (c *Client) isPlain() bool { return strings.HasPrefix(c.base, "http://") }

// namesTLS reports whether a server says that it was spoken to without TLS. The
// usual ones do so in their own words, beside a 400.
func namesTLS(body []byte) bool {
	text := strings.ToUpper(string(body))
	return strings.Contains(text, "HTTPS") || strings.Contains(text, "SSL") || strings.Contains(text, "TLS")
}
