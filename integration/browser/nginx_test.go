package browser_test

import (
	"net"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/integration/nginxtest"
)

// TestBehindNginx is the walk on plain http and a name that is not localhost, where
// browsers send no Fetch Metadata, behind an nginx that changes the Host, and one that
// takes a path off as well. All requests of the tab must have it.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ prefix, location string }{
		"Host":   {"", "location / { proxy_pass APP; }"},
		"prefix": {"/tools", "location /tools/ { proxy_pass APP/; }"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nginx := nginxtest.Listen(t)
			_, port, err := net.SplitHostPort(nginx.Address)
			require.NoError(t, err)
			address := "http://portal.test:" + port + row.prefix
			portal := startPortal(t, startGenAuth(t, genauthtest.Config{}), "BASE_URL="+address)
			nginx.Serve(t, strings.ReplaceAll(row.location, "APP", portal))
			tb := newTab(t, address)
			tb.blocked()
			tb.enrollOTP()
			tb.open("/account")
			tb.at(200, "Your account")
			tb.button("/logout")
			tb.at(200, "Welcome")
		})
	}
}
