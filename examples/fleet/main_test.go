package main

import (
	"bytes"
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// redisForTest starts a Redis, or uses none of the environment.
func redisForTest(t *testing.T) *redis {
	t.Helper()
	r, err := findRedis(t.Context(), "")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.stop()) })
	return r
}

// TestFleet runs the program with less traffic. How often a fleet asks depends on how
// many requests come at the same moment, and that is the machine's business: the
// siege, and the program itself, hold it to a figure.
func TestFleet(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	s := testSize()
	require.Equal(t, 0, run(t.Context(), "", s, &out, &errOut), errOut.String())
	assert.Empty(t, errOut.String())
	t.Log(out.String())

	// Nothing ends meanwhile. Instances that ask about a user at the same moment each
	// ask.
	rows := regexp.MustCompile(`(?m)^ +(\d) +(\d+) calls +([\d.]+) x(?: \(on a busy machine\))? +(\d+) calls +([\d.]+) x`).FindAllStringSubmatch(out.String(), -1)
	require.Len(t, rows, 2)
	for n, row := range rows {
		assert.Equal(t, []string{"1", "4"}[n], row[1])
		with, err := strconv.ParseFloat(row[5], 64)
		require.NoError(t, err)
		if !strings.Contains(row[0], "busy") {
			assert.LessOrEqual(t, with, s.most)
		}
	}
	assert.Contains(t, out.String(), "from enrolling to being let in on all 4: ")
	assert.Contains(t, out.String(), "from removing the factor to being refused on all 4: ")
	assert.Contains(t, out.String(), "A read of the store takes ")
	for _, trouble := range s.blips.all() {
		assert.Regexp(t, "(?m)^"+trouble.name+" +[1-9]", out.String())
	}
}

// TestRedisOfURL: a Redis that is there is used, and left as it is.
func TestRedisOfURL(t *testing.T) {
	t.Parallel()
	own := redisForTest(t)
	given, err := findRedis(t.Context(), "redis://"+own.option.InitAddress[0]+"/0")
	require.NoError(t, err)
	assert.NoError(t, given.stop())
	assert.NoError(t, own.do(t.Context(), own.option, "PING"))
}

// TestRedisIsNotThere: it says so at once, and what to do.
func TestRedisIsNotThere(t *testing.T) {
	var out, errOut bytes.Buffer
	gone, err := freeAddr(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, run(t.Context(), "redis://"+gone, size{}, &out, &errOut))
	assert.Contains(t, errOut.String(), "fleet: REDIS_URL: ")

	errOut.Reset()
	t.Setenv("PATH", t.TempDir())
	assert.Equal(t, 2, run(t.Context(), "", size{}, &out, &errOut))
	assert.Equal(t, "fleet: "+errNoRedis.Error()+"\n", errOut.String())
	assert.Empty(t, out.String())
}

// TestInterrupt: Ctrl-C ends it soon, and Redis with it.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	began := &watcher{wanted: "instances", seen: cancel}
	var errOut bytes.Buffer
	s := testSize()
	s.requests = 500_000 // for minutes
	assert.Equal(t, 1, run(ctx, "", s, began, &errOut))
	assert.Equal(t, "fleet: ended before all was measured\n", errOut.String())
	addr := regexp.MustCompile(`at (127\.0\.0\.1:\d+)`).FindStringSubmatch(began.text.String())
	require.NotNil(t, addr)
	_, err := findRedis(t.Context(), "redis://"+addr[1])
	assert.Error(t, err, "it has been ended")
}

// watcher is a writer that waits for a text.
type watcher struct {
	text   bytes.Buffer
	wanted string
	seen   func()
}

func (w *watcher) Write(b []byte) (int, error) {
	n, err := w.text.Write(b)
	if bytes.Contains(b, []byte(w.wanted)) {
		w.seen()
	}
	return n, err
}

// TestZipf: the first user sends about twice as much as the second, and the traffic
// is the same each time.
func TestZipf(t *testing.T) {
	t.Parallel()
	traffic := zipf(10_000, 100_000, 1)
	assert.Equal(t, traffic, zipf(10_000, 100_000, 1))
	count := make(map[int]int)
	for _, user := range traffic {
		count[user]++
	}
	assert.InDelta(t, 2, float64(count[0])/float64(count[1]), 0.1)
	assert.InDelta(t, 100_000/9.7876, count[0], 400)
}
