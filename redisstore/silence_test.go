package redisstore_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// fakeRedis greets as Redis does, and knows nothing. It can fall silent.
type fakeRedis struct{ silent atomic.Bool }

func (f *fakeRedis) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	for {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		if f.silent.Load() {
			continue
		}
		answer := "+OK\r\n"
		switch strings.ToUpper(words[0]) {
		case "HELLO":
			answer = "%2\r\n+version\r\n+7.0.0\r\n+proto\r\n:3\r\n"
		case "MGET":
			answer = "*" + strconv.Itoa(len(words)-1) + "\r\n" + strings.Repeat("_\r\n", len(words)-1)
		case "PTTL":
			answer = ":-2\r\n"
		case "CLUSTER":
			answer = "-ERR This instance has cluster support disabled\r\n"
		case "PING":
			answer = "+PONG\r\n"
		}
		if _, err := conn.Write([]byte(answer)); err != nil {
			return
		}
	}
}

// readCommand reads an array of strings.
func readCommand(r *bufio.Reader) (words []string, err error) {
	number := func() (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	n, err := number()
	for range n {
		var size int
		if size, err = number(); err != nil {
			return nil, err
		}
		word := make([]byte, size+2)
		if _, err = io.ReadFull(r, word); err != nil {
			return nil, err
		}
		words = append(words, string(word[:size]))
	}
	return words, err
}

// TestF40CallsEndWithTheirContext: Redis says nothing, from the first or from some time
// on, and a call takes as long as its context and not a moment longer.
func TestF40CallsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	for name, greets := range map[string]bool{"from the first": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := &fakeRedis{}
				server.silent.Store(!greets)
				s, err := redisstore.New(redisstore.Config{
					Secrets: [][]byte{secretOf(1)},
					Redis: rueidis.ClientOption{
						InitAddress: []string{"redis.test:6379"},
						DialCtxFn: func(context.Context, string, *net.Dialer, *tls.Config) (net.Conn, error) {
							ours, theirs := net.Pipe()
							go server.serve(theirs)
							return ours, nil
						},
					},
				})
				require.NoError(t, err)
				defer func() {
					assert.NoError(t, s.Close())
					<-time.After(2 * time.Second) // what rueidis has put off
				}()
				version := echomfa.StoreVersion("")
				if greets {
					_, _, version, err = s.Get(t.Context(), newKey(), newKey())
					require.NoError(t, err)
					server.silent.Store(true)
				}
				for what, call := range map[string]func(ctx context.Context) error{
					"Get":        func(ctx context.Context) error { _, _, _, err := s.Get(ctx, newKey(), newKey()); return err },
					"Delete":     func(ctx context.Context) error { return s.Delete(ctx, newKey(), newKey()) },
					"DeleteUser": func(ctx context.Context) error { return s.DeleteUser(ctx, newKey()) },
					"Set": func(ctx context.Context) error {
						if !greets { // without a version there is nothing to keep
							<-ctx.Done()
							return ctx.Err()
						}
						return s.Set(ctx, newFacts(), version, time.Minute)
					},
				} {
					ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
					begin := time.Now()
					require.ErrorIs(t, call(ctx), context.DeadlineExceeded, what)
					assert.Equal(t, 50*time.Millisecond, time.Since(begin), what)
					cancel()
				}
			})
		})
	}
}
