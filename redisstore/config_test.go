package redisstore_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// TestN15AddressesThatCannotBeDialed has addresses with which each call would
// fail. No error quotes one: it may hold a password.
func TestN15AddressesThatCannotBeDialed(t *testing.T) {
	t.Parallel()
	for address, wrong := range map[string]string{
		"redis://canary:6379":             "it is a URL, of which rueidis.ParseURL makes a ClientOption",
		"rediss://u:canary@a:6379/0":      "it is a URL",
		"unix:///canary.sock":             "it is a URL",
		"valkey://canary":                 "it is a URL",
		"canary:password@a:6379":          "it has a user",
		"canary":                          "it has no port",
		"canary:":                         "it has no port",
		"::1":                             "it has no port",
		"/canary.sock":                    "it has no port",
		"canary:6379/0":                   "its port",
		"canary:redis":                    "its port",
		"canary:0":                        "its port",
		"canary:65536":                    "its port",
		" canary:6379":                    "its host",
		"canary/a:6379":                   "its host",
		"\"canary\":6379":                 "its host",
		"canary:6379 ":                    "its port",
		"${canary}:6379":                  "its host",
		"<canary>:6379":                   "its host",
		"canary,b:6379":                   "its host",
		"*:6379":                          "its host",
		"a:1":                             "it is there twice",
		"[::1]:6379":                      "",
		"127.0.0.1:6379":                  "",
		"redis-0.redis.svc.cluster:26379": "",
		":6379":                           "",
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			s, err := redisstore.New(redisstore.Config{
				Redis: rueidis.ClientOption{InitAddress: []string{"a:1", address}}, Secrets: [][]byte{secretOf(1)},
			})
			if wrong == "" {
				require.NoError(t, err)
				require.NoError(t, s.Close())
				return
			}
			assert.Nil(t, s)
			require.ErrorContains(t, err, "redisstore: Redis: InitAddress[1]: "+wrong)
			require.ErrorContains(t, err, `; it must be host:port, such as "localhost:6379"`)
			assert.NotContains(t, err.Error(), "canary")
		})
	}
	dial := func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) { return nil, net.ErrClosed }
	s, err := redisstore.New(redisstore.Config{
		Redis: rueidis.ClientOption{InitAddress: []string{"/run/redis.sock"}, DialCtxFn: dial}, Secrets: [][]byte{secretOf(1)},
	})
	require.NoError(t, err, "a dial function takes what it likes")
	require.NoError(t, s.Close())
}

// TestX14PrintingTellsNoSecret prints a Config and a Store, alone and inside of
// others.
func TestX14PrintingTellsNoSecret(t *testing.T) {
	t.Parallel()
	const canary = "canary-0123456789-canary-0123456789"
	c := redisstore.Config{
		Redis:   rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}, Password: canary, Username: canary},
		Secrets: [][]byte{[]byte(canary)},
	}
	s, err := redisstore.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	for _, v := range []any{
		c, &c, []redisstore.Config{c}, s, map[string]any{"k": s}, struct{ V any }{c}, struct{ s *redisstore.Store }{s},
	} {
		var b bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			_, _ = fmt.Fprintf(&b, verb+"\n", v)
		}
		text, _ := json.Marshal(v)
		b.Write(text)
		slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v)
		raw := []byte(canary)
		for _, spelling := range []string{canary, hex.EncodeToString(raw), strings.Trim(fmt.Sprintf("%d", raw), "[]"), "0x63, 0x61, 0x6e", "Y2FuYXJ5"} {
			assert.NotContains(t, b.String(), spelling, "%T", v)
		}
	}
	assert.Equal(t, "[redacted]", fmt.Sprint(c))
	assert.Equal(t, "[redacted]", s.String())
	assert.Equal(t, "[redacted]", s.GoString())
}

// TestServerWithoutRESP3: a server that has no HELLO is spoken to as it can be, whatever
// the configuration says.
func TestServerWithoutRESP3(t *testing.T) {
	t.Parallel()
	server := redistest.New(t, "--rename-command", "HELLO", "")
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	heard := watch(t, s)
	facts := newFacts()
	keep(t, s, facts)
	require.True(t, found(t, s, facts))
	require.NoError(t, s.DeleteUser(t.Context(), facts.User))
	assert.Equal(t, facts.User, next(t, heard).User)
	assert.False(t, found(t, s, facts))
}
