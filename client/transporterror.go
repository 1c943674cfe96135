package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// TransportError reports that an exchange with GenAuth did not come to its end:
// no connection, no answer in time, a connection that broke. It matches
// [ErrUnavailable].
type TransportError struct {
	// Op is the last part of the endpoint's path.
	Op string
	// Err is the cause, without the URL.
	Err error

	// post is whether the request may have changed something at GenAuth.
	post bool
	// answered is whether an answer had begun.
	answered bool
	// unconnected is whether there was no connection, if traced: the transport has told.
	traced, unconnected bool
}

// Error returns a text without tokens, application id and URL.
func (e *TransportError) Error() string {
	if e.Err == nil {
		return "client: " + e.Op + ": transport failed"
	}
	return "client: " + e.Op + ": " + cut(printable(e.Err.Error()), maxMessageBytes)
}

// Unwrap returns the cause.
func (e *TransportError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrUnavailable].
func (e *TransportError) Is(target error) bool { return target == ErrUnavailable }

// Timeout reports whether the exchange ran out of time.
func (e *TransportError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.Is(e.Err, context.DeadlineExceeded) || errors.As(e.Err, &t) && t.Timeout()
}

// Retryable reports whether the same call may succeed at once on another
// connection: the connection could not be made, or broke before an answer came.
//
// It is false for a time-out, which has spent the time that a second try would
// need; for a TLS or certificate failure and a host name that does not exist,
// which a second try cannot mend; and for every call that is not a GET, since
// GenAuth may have acted on the first one.
func (e *TransportError) Retryable() bool {
	if e.Err == nil || e.post || e.answered || e.Timeout() || isTLSFailure(e.Err) {
		return false
	}
	if redacted := (*redactedError)(nil); errors.As(e.Err, &redacted) {
		return redacted.retryable
	}
	if dns := (*net.DNSError)(nil); errors.As(e.Err, &dns) {
		return !dns.IsNotFound
	}
	if op := (*net.OpError)(nil); errors.As(e.Err, &op) && op.Op == "dial" {
		return true
	}
	if strings.Contains(e.Err.Error(), "GOAWAY") {
		return true // net/http has no name for it, and several texts
	}
	for _, broken := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	} {
		if errors.Is(e.Err, broken) {
			return true
		}
	}
	return false
}

// Unconnected reports whether there was no connection: the name was not found, nobody
// listened, a proxy did not connect, TLS failed, or the time ended in one of these. The
// request has not been sent, so nothing in it is the cause. It is false where that is not
// certain.
//
// The transport of net/http tells how far it came. Of another one that does not, by
// [net/http/httptrace], only errors count that cannot come from a connection in use.
func (e *TransportError) Unconnected() bool {
	if e.traced || e.answered {
		return e.unconnected
	}
	if redacted := (*redactedError)(nil); errors.As(e.Err, &redacted) {
		return redacted.unconnected
	}
	var (
		dns *net.DNSError
		op  *net.OpError
	)
	return errors.As(e.Err, &dns) || isCertificate(e.Err) || errors.As(e.Err, &op) && op.Op == "dial"
}

// isCertificate reports whether the peer's certificate was refused.
func isCertificate(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		host         x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

func isTLSFailure(err error) bool {
	var (
		alert  tls.AlertError
		header tls.RecordHeaderError
	)
	return isCertificate(err) || errors.As(err, &alert) || errors.As(err, &header)
}

// withoutSecrets returns err, or what can be told of it: a URL is left out
// because of its query, and a transport that shows a secret is not quoted.
func withoutSecrets(err error, secrets []string) error {
	for {
		var u *url.Error
		if !errors.As(err, &u) || u.Err == nil {
			break
		}
		err = u.Err
	}
	text := printable(err.Error())
	// %#v shows fields that Error does not.
	for _, shown := range []string{err.Error(), text, fmt.Sprintf("%#v", err)} {
		if redact(shown, secrets) != shown {
			bare := TransportError{Err: err}
			return &redactedError{
				text:        redact(text, secrets),
				timeout:     bare.Timeout(),
				retryable:   bare.Retryable(),
				unconnected: bare.Unconnected(),
				is:          func(target error) bool { return errors.Is(err, target) },
			}
		}
	}
	return err
}

// redactedError stands for an error whose text holds a secret. It keeps what is
// known about that error and gives no way to get at it.
type redactedError struct {
	text                            string
	timeout, retryable, unconnected bool
	is                              func(error) bool
}

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Timeout() bool        { return e.timeout }
func (e *redactedError) Is(target error) bool { return e.is(target) }
