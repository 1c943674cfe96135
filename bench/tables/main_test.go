package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sample = `goos: linux
BenchmarkHit/token=jwt/peer=bare-2 10 50 ns/op 0 B/op 0 allocs/op
BenchmarkHit/token=jwt/peer=bare-2 10 70 ns/op 0 B/op 0 allocs/op
BenchmarkHit/token=jwt/peer=bare-2 10 60 ns/op 0 B/op 0 allocs/op
BenchmarkHit/token=jwt/peer=echomfa-2 10 300 ns/op 24 B/op 1 allocs/op
BenchmarkHit/token=jwt/peer=echomfa_in_net∕http-2 10 240 ns/op 0 B/op 0 allocs/op
BenchmarkHit/token=jwt/peer=KeyAuth-2 10 120 ns/op 128 B/op 2 allocs/op
BenchmarkEndToEnd/peer=echo-jwt_HS256 10 50 req/s
BenchmarkHit/token=40B/peer=bare-2 10 60 ns/op 0 B/op 0 allocs/op
BenchmarkHit/token=40B/peer=KeyAuth-2 10 120 ns/op 128 B/op 2 allocs/op
BenchmarkHit/token=40B/peer=echomfa-2 10 180 ns/op 24 B/op 1 allocs/op
BenchmarkHit/token=40B/peer=echomfa_in_net∕http-2 10 120 ns/op 0 B/op 0 allocs/op
`

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "out")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// TestTable shows medians, and ratios to the peer of the same setting.
func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(&out, false, []string{write(t, sample)}))
	assert.Equal(t, `## Hit path, one thread

| token | peer | ns | ratio to KeyAuth | cpu-nanos/op | B/op | allocs/op |
| --- | --- | --- | --- | --- | --- | --- |
| 40B | bare | 60 ± 0 % | 0.5 | 0 | 0 | 0 |
| 40B | KeyAuth | 120 ± 0 % | 1 | 0 | 128 | 2 |
| 40B | echomfa in net∕http | 120 ± 0 % | 1 | 0 | 0 | 0 |
| 40B | echomfa | 180 ± 0 % | 1.5 | 0 | 24 | 1 |
| jwt | bare | 60 ± 8 % | 0.5 | 0 | 0 | 0 |
| jwt | KeyAuth | 120 ± 0 % | 1 | 0 | 128 | 2 |
| jwt | echomfa in net∕http | 240 ± 0 % | 2 | 0 | 0 | 0 |
| jwt | echomfa | 300 ± 0 % | 2.5 | 0 | 24 | 1 |

## End to end over loopback, wrk, 16 connections

| peer | req/s | ratio to bare | p50-us | p99-us | cpu-us/req |
| --- | --- | --- | --- | --- | --- |
| echo-jwt HS256 | 50 ± 0 % |  | 0 | 0 | 0 |

`, out.String())
}

// TestCompare lets a tenth pass, and no more, whatever the machine's speed is. The least
// of several passes counts.
func TestCompare(t *testing.T) {
	t.Parallel()
	sample := strings.ReplaceAll(sample, " ns/op", " cpu-nanos/op")
	change := func(old, new string) string { return write(t, strings.Replace(sample, old, new, 1)) }
	for name, row := range map[string]struct {
		after string
		want  string
	}{
		"the same":     {write(t, sample), ""},
		"a tenth":      {change("300 cpu", "330 cpu"), ""},
		"more":         {change("300 cpu", "331 cpu"), "echomfa, jwt: slower by over 10 %"},
		"once more":    {write(t, sample+"BenchmarkHit/token=jwt/peer=echomfa-2 10 999 cpu-nanos/op\n"), ""},
		"faster bare":  {change("50 cpu", "45 cpu"), "echomfa, jwt: slower by over 10 %\nechomfa in net∕http, jwt: slower by over 10 %"},
		"nothing left": {change("peer=echomfa-2 10 180", "peer=other-2 10 180"), "echomfa, 40B: slower by over 10 %"},
	} {
		err := run(&bytes.Buffer{}, true, []string{write(t, sample), row.after})
		if row.want == "" {
			assert.NoError(t, err, name)
			continue
		}
		assert.EqualError(t, err, row.want, name)
	}
	assert.Error(t, run(&bytes.Buffer{}, true, nil))
}
