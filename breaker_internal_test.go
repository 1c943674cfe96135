package echomfa

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/breaker"
	"github.com/echomfa/echomfa/internal/budget"
)

// TestBreakerRule2Classes has what a lookup may end in, and what that tells of GenAuth: of a
// known token, and of an unknown one.
func TestBreakerRule2Classes(t *testing.T) {
	t.Parallel()
	const none, success, lost, failed, limited = breaker.NoEvidence, breaker.Success, breaker.NoConnection, breaker.Failed, breaker.Limited
	transport := func(err error) error { return fmt.Errorf("lookup: %w", &client.TransportError{Op: "op", Err: err}) }
	status := func(n int) error { return &client.APIError{HTTPStatus: n} }
	body := func(n int) error { return &client.APIError{HTTPStatus: 200, StatusCode: n} }
	for name, row := range map[string]struct {
		err            error
		known, unknown breaker.Outcome
	}{
		"facts":                  {nil, success, success},
		"DNS":                    {transport(&net.DNSError{}), lost, lost},
		"dial":                   {transport(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), lost, lost},
		"TLS":                    {transport(x509.UnknownAuthorityError{}), lost, lost},
		"TLS alert":              {transport(&net.OpError{Op: "remote error", Err: errors.New("tls: bad record MAC")}), failed, failed},
		"timeout":                {transport(context.DeadlineExceeded), failed, failed},
		"deadline":               {fmt.Errorf("client: %w", context.DeadlineExceeded), failed, failed},
		"reset":                  {transport(&net.OpError{Op: "read", Err: syscall.ECONNRESET}), failed, failed},
		"413":                    {breaker.TooLong(status(413), ""), failed, failed},
		"414":                    {breaker.TooLong(status(414), ""), failed, failed},
		"431":                    {breaker.TooLong(status(431), ""), failed, failed},
		"400 for a long token":   {breaker.TooLong(status(400), string(make([]byte, 8000))), failed, failed},
		"400":                    {status(400), none, none},
		"500":                    {status(500), failed, failed},
		"503":                    {status(503), failed, failed},
		"600":                    {status(600), failed, failed},
		"603 in the body":        {body(603), failed, failed},
		"malformed":              {client.ErrMalformed, failed, failed},
		"a lister's own":         {errors.New("odd"), failed, failed},
		"a lister's own dial":    {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, failed, failed},
		"401":                    {&TokenError{Err: status(401)}, success, none},
		"403":                    {status(403), success, none},
		"403 in the body":        {body(403), success, none},
		"404":                    {status(404), none, none},
		"misconfigured":          {client.ErrMisconfigured, none, none},
		"429":                    {status(429), limited, limited},
		"no turn":                {budget.ErrQueueWait, none, none},
		"given up":               {fmt.Errorf("client: %w", context.Canceled), none, none},
		"a panic":                {&panicError{where: "lookup"}, none, none},
		"the lister went astray": {errNoResult, none, none},
		"held":                   {&breaker.HeldError{}, none, none},
		"open":                   {breaker.ErrOpen, none, none},
		"cold":                   {breaker.ErrCold, none, none},
	} {
		assert.Equal(t, row.known, evidence(row.err, true, false), "%s, known", name)
		assert.Equal(t, row.unknown, evidence(row.err, false, false), "%s, unknown", name)
		expired := row.known
		if expired == success && row.err != nil {
			expired = none // a gateway may say so
		}
		assert.Equal(t, expired, evidence(row.err, true, true), "%s, known and expired", name)
	}
}
