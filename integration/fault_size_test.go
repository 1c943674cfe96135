package integration_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hundredMegabytes = 100 << 20

// padded has GenAuth send spaces ahead of a good answer, after a head.
func padded(head string, chunked bool) func(*rig) {
	spaces := bytes.Repeat([]byte(" "), 64<<10)
	return func(r *rig) {
		r.front.become(func(conn net.Conn, _ <-chan struct{}) {
			if readRequest(conn) != nil {
				return
			}
			if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+head+"\r\n"); err != nil {
				return
			}
			for sent := 0; sent < hundredMegabytes; sent += len(spaces) {
				if chunked {
					if _, err := fmt.Fprintf(conn, "%x\r\n", len(spaces)); err != nil {
						return
					}
				}
				if _, err := conn.Write(spaces); err != nil {
					return
				}
				if chunked {
					if _, err := io.WriteString(conn, "\r\n"); err != nil {
						return
					}
				}
			}
			_, _ = io.WriteString(conn, envelope("OTP"))
		})
	}
}

func hugeBodies() map[string]func(*rig) {
	return map[string]func(*rig){
		"announced":   padded("Content-Length: "+strconv.Itoa(hundredMegabytes+len(envelope("OTP")))+"\r\n", false),
		"until close": padded("Connection: close\r\n", false),
		"chunked":     padded("Transfer-Encoding: chunked\r\n", true),
	}
}

func TestF18HundredMegabytes(t *testing.T) {
	t.Parallel()
	rows := make(map[string]fault)
	for name, begin := range hugeBodies() {
		if !allRows && name != "chunked" {
			continue // TestF18HeapGrowth has them all
		}
		rows[name] = fault{begin: begin, stale: true, setup: noteDials, after: func(t *testing.T, r *rig, all []reply) {
			t.Helper()
			assert.Len(t, r.dials.all(), len(all), "not tried again")
			assert.LessOrEqual(t, r.dials.read.Load(), int64(len(all)*(client.DefaultMaxBodyBytes+64<<10)))
		}}
	}
	runAll(t, rows)
}

// TestF18HeapGrowth runs alone, since it measures what the whole process
// allocates while one bad answer is refused, garbage included.
func TestF18HeapGrowth(t *testing.T) {
	for name, begin := range hugeBodies() {
		t.Run(name, func(t *testing.T) {
			assert.Less(t, allocatedBy(t, begin), uint64(8<<20))
		})
	}
}

// allocatedBy returns how many bytes are allocated while one cold caller asks,
// by the client's own transport.
func allocatedBy(t *testing.T, begin func(*rig)) uint64 {
	t.Helper()
	r := newRig(t)
	begin(r)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := r.ask(callers()[0])
	runtime.ReadMemStats(&after)
	r.refused(got, http.StatusServiceUnavailable)
	t.Logf("allocated %d KiB", (after.TotalAlloc-before.TotalAlloc)>>10)
	return after.TotalAlloc - before.TotalAlloc
}

// bomb returns about 1 MB of gzip that inflates to 1 GiB of spaces ahead of a
// good answer. One piece of it is made, and then repeated: after a flush on a
// byte boundary the same input gives the same output.
func bomb(t *testing.T) []byte {
	t.Helper()
	const piece, pieces = 4 << 20, 1 << 8
	spaces := bytes.Repeat([]byte(" "), piece)
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	require.NoError(t, err)
	write := func(text []byte) []byte {
		from := out.Len()
		_, err := w.Write(text)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
		return bytes.Clone(out.Bytes()[from:])
	}
	write(spaces)
	again := write(spaces)
	out.Write(bytes.Repeat(again, pieces-2))
	tail := []byte(envelope("OTP"))
	write(tail)
	require.NoError(t, w.Close())
	// The writer knows nothing of what was repeated: the checksum and the
	// length at the end are put right.
	sum := crc32.NewIEEE()
	for range pieces {
		_, _ = sum.Write(spaces)
	}
	_, _ = sum.Write(tail)
	raw := out.Bytes()
	binary.LittleEndian.PutUint32(raw[len(raw)-8:], sum.Sum32())
	binary.LittleEndian.PutUint32(raw[len(raw)-4:], uint32(piece*pieces+len(tail)))
	return raw
}

func TestF19GzipBomb(t *testing.T) {
	t.Parallel()
	raw := bomb(t)
	require.Less(t, len(raw), client.DefaultMaxBodyBytes+1, "short enough to be read")
	rows := make(map[string]fault)
	codings := []string{"gzip", ""}
	if allRows {
		codings = append(codings, "x-gzip", "deflate", "identity, gzip", "unknown")
	}
	for _, coding := range codings {
		header := []string{"Content-Type", "application/json"}
		if coding != "" {
			header = append(header, "Content-Encoding", coding)
		}
		rows["Content-Encoding: "+coding] = fault{begin: spoil(200, string(raw), header...), stale: true, after: asked(1, 1)}
	}
	runAll(t, rows)
}

// TestF19HeapGrowth runs alone, as TestF18HeapGrowth.
func TestF19HeapGrowth(t *testing.T) {
	raw := bomb(t)
	inflated, err := gzip.NewReader(bytes.NewReader(raw))
	require.NoError(t, err)
	n, err := io.CopyN(io.Discard, inflated, 64<<20)
	require.NoError(t, err, "it is a bomb indeed")
	require.Equal(t, int64(64<<20), n)
	assert.Less(t, allocatedBy(t, spoil(200, string(raw), "Content-Encoding", "gzip")), uint64(8<<20))
}

// longHead is an answer whose head does not end, or late.
func longHead(lines int) func(*rig) {
	var head strings.Builder
	head.WriteString("HTTP/1.1 200 OK\r\n")
	for i := range lines {
		fmt.Fprintf(&head, "X-Flood-%d: x\r\n", i)
	}
	body := envelope("OTP")
	fmt.Fprintf(&head, "Content-Length: %d\r\n\r\n%s", len(body), body)
	text := head.String()
	return func(r *rig) { r.front.become(send(text)) }
}

func TestF20TwentyThousandHeaderLines(t *testing.T) {
	t.Parallel()
	runAll(t, map[string]fault{
		"lines":    {begin: longHead(20000), stale: true},
		"one line": {begin: func(r *rig) { r.front.become(send("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n")) }, stale: true},
		"informational answers": {begin: func(r *rig) {
			r.front.become(send(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 5000)))
		}, stale: true},
	})
}

// TestF20HeapGrowth runs alone, as TestF18HeapGrowth.
func TestF20HeapGrowth(t *testing.T) {
	assert.Less(t, allocatedBy(t, longHead(20000)), uint64(8<<20))
}
