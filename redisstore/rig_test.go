package redisstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// patience is more than a busy machine needs, and less than longFresh says.
const patience = 3 * time.Minute

func secretOf(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// patient are options for a machine that is busy: nothing times out.
func patient(addr string) rueidis.ClientOption {
	o := rueidis.ClientOption{InitAddress: []string{addr}, ConnWriteTimeout: patience}
	o.Dialer.Timeout = patience
	return o
}

// newStore makes a store and closes it with the test.
func newStore(t *testing.T, c redisstore.Config) *redisstore.Store {
	t.Helper()
	if c.Secrets == nil {
		c.Secrets = [][]byte{secretOf(1)}
	}
	s, err := redisstore.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// prefixOf makes a prefix of the name of a test.
func prefixOf(t *testing.T) string {
	t.Helper()
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", r) {
			return r
		}
		return '-'
	}, t.Name())
}

// rawClient is a second client, for what no store does.
func rawClient(t *testing.T, addr string) rueidis.Client {
	t.Helper()
	o := patient(addr)
	o.DisableCache, o.ForceSingleClient = true, true
	c, err := rueidis.NewClient(o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// command carries out any command.
func command(t *testing.T, c rueidis.Client, words ...string) rueidis.RedisResult {
	t.Helper()
	r := c.Do(t.Context(), c.B().Arbitrary(words...).Build())
	if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
		require.NoError(t, err, words)
	}
	return r
}

// keysOf lists the keys in Redis.
func keysOf(t *testing.T, c rueidis.Client) []string {
	t.Helper()
	var keys []string
	for cursor := uint64(0); ; {
		page, err := c.Do(t.Context(), c.B().Scan().Cursor(cursor).Count(1000).Build()).AsScanEntry()
		require.NoError(t, err)
		keys = append(keys, page.Elements...)
		if cursor = page.Cursor; cursor == 0 {
			return keys
		}
	}
}

// valueKey returns the one key in Redis that holds facts of an app with a prefix,
// or of the other app beside it, and is not known yet.
func valueKey(t *testing.T, c rueidis.Client, prefix string, known ...string) string {
	t.Helper()
	var found []string
	for _, key := range keysOf(t, c) {
		rest, mine := strings.CutPrefix(key, prefix)
		if mine && (rest[:1] == ":" || strings.HasPrefix(rest, "-other:")) &&
			strings.Contains(rest, "}:f") && !slices.Contains(known, key) {
			found = append(found, key)
		}
	}
	require.Len(t, found, 1)
	return found[0]
}

func newKey() echomfa.StoreKey {
	var k echomfa.StoreKey
	rand.Read(k[:])
	return k
}

func newFacts(types ...echomfa.FactorType) echomfa.StoredFacts {
	if types == nil {
		types = []echomfa.FactorType{echomfa.OTP}
	}
	return echomfa.StoredFacts{Key: newKey(), User: newKey(), Types: types, Asked: time.Now()}
}

// keep stores facts under a current version.
func keep(t *testing.T, s echomfa.Store, facts echomfa.StoredFacts) {
	t.Helper()
	_, _, v, err := s.Get(t.Context(), facts.Key, facts.User)
	require.NoError(t, err)
	require.NoError(t, s.Set(t.Context(), facts, v, 30*time.Minute)) // longer than any test takes
}

// found reports whether facts are there, and that they are no others.
func found(t *testing.T, s echomfa.Store, facts echomfa.StoredFacts) bool {
	t.Helper()
	got, found, _, err := s.Get(t.Context(), facts.Key, facts.User)
	require.NoError(t, err)
	if found {
		assert.Equal(t, facts.Types, got.Types)
		assert.Equal(t, facts.Key, got.Key)
		assert.Equal(t, facts.User, got.User)
	}
	return found
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool, otherwise string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !so() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			require.Fail(t, otherwise)
		}
	}
}

// watch listens, and returns what is heard once it listens.
func watch(t *testing.T, s echomfa.Store) <-chan echomfa.StoreEvent {
	t.Helper()
	heard, hears := make(chan echomfa.StoreEvent, 1000), make(chan struct{})
	var once sync.Once
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, func(event echomfa.StoreEvent) {
			if event.Kind == echomfa.Hearing {
				once.Do(func() { close(hears) })
			}
			if event.Kind != echomfa.Hearing && event.Kind != echomfa.Deaf {
				heard <- event
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	select {
	case <-hears:
	case <-time.After(patience):
		require.Fail(t, "it does not hear")
	}
	for len(heard) > 0 { // from before
		<-heard
	}
	return heard
}

func next(t *testing.T, heard <-chan echomfa.StoreEvent) echomfa.StoreEvent {
	t.Helper()
	select {
	case event := <-heard:
		return event
	case <-time.After(patience):
		require.Fail(t, "nothing is heard")
		return echomfa.StoreEvent{}
	}
}

// encodings returns how bytes are written, each of the usual ways.
func encodings(all ...[]byte) (texts []string) {
	for _, b := range all {
		texts = append(texts, hex.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b))
	}
	return texts
}
