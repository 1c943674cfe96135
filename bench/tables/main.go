// Tables reads the output of benchmarks and prints what docs/performance.md shows:
// medians, and ratios to a peer of the same run. With -compare it holds the hit
// path of two outputs against each other.
package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

// table is one table of the report.
type table struct {
	title string
	bench string   // the benchmark's name
	rows  []string // keys of the sub-benchmark's name that make a row
	unit  string   // what the ratio is of
	base  string   // the peer that all are divided by
	also  []string // units that are shown as they are
}

func tables() []table {
	return []table{
		{"Hit path, one thread", "Hit", []string{"token", "peer"}, "sec/op", "KeyAuth", []string{"cpu-nanos/op", "B/op", "allocs/op"}},
		{"Hit path over Echo v5, one thread", "EchoV5Hit", []string{"token", "peer"}, "sec/op", "KeyAuth", []string{"cpu-nanos/op", "B/op", "allocs/op"}},
		{"Hit path behind the rules of a file, one thread", "RulesHit", []string{"token", "peer"}, "sec/op", "own Require", []string{"cpu-nanos/op", "B/op", "allocs/op"}},
		{"Hit path, several threads", "ParallelHit", []string{"users", "dist", "procs", "peer"}, "Mreq/s", "bare", nil},
		{"Memory and a full collection of garbage", "Memory", []string{"users", "history", "peer"}, "gc-nanos", "golang-lru, 16-byte key", []string{"B/user"}},
		{"Forgetting a token or a user", "Invalidation", []string{"entries", "peer"}, "sec/op", "a hit", []string{"allocs/op"}},
		{"Hit ratio, a cache for a tenth of 100,000 users", "HitRatio", []string{"oneoff", "peer"}, "hits/req", "golang-lru", nil},
		{"Stampede: 1,000 requests of one cold token, 20 ms at GenAuth", "Stampede", []string{"peer"}, "p99-ms", "default client", []string{"calls"}},
		{"Cold tokens, 200 at a time", "ColdTokens", []string{"delay", "peer"}, "lookups/s", "default client", []string{"connections"}},
		{"The middleware's own share of a miss", "Miss", []string{"peer"}, "sec/op", "no-op", []string{"allocs/op"}},
		{"Reading GenAuth's answer", "Decode", []string{"peer"}, "sec/op", "encoding∕json", []string{"allocs/op"}},
		{"Evaluating a policy", "Policy", []string{"policy"}, "sec/op", "", []string{"allocs/op"}},
		{"A refusal", "Denial", []string{"answer", "peer"}, "sec/op", "", []string{"allocs/op"}},
		{"End to end over loopback, wrk, 16 connections", "EndToEnd", []string{"peer"}, "req/s", "bare", []string{"p50-us", "p99-us", "cpu-us/req"}},
	}
}

func main() {
	compare := flag.Bool("compare", false, "compare the hit path of two files, old and new; fail if the new one is slower by over 10 %")
	flag.Parse()
	if err := run(os.Stdout, *compare, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, compare bool, files []string) error {
	var read []results
	for _, name := range files {
		r, err := readFile(name)
		if err != nil {
			return err
		}
		read = append(read, r)
	}
	switch {
	case compare && len(read) == 2:
		return compareHits(out, read[0], read[1])
	case compare || len(read) == 0:
		return errors.New("usage: tables FILE..., or tables -compare OLD NEW")
	}
	for _, t := range tables() {
		for _, r := range read {
			t.print(out, r)
		}
	}
	return nil
}

// results are the values of each benchmark, by name and unit.
type results map[string]map[string][]float64

func readFile(name string) (results, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	r := results{}
	reader := benchfmt.NewReader(bufio.NewReader(f), name)
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue
		}
		full := strings.ReplaceAll(string(result.Name.Full()), "_", " ")
		full = procs.ReplaceAllString(full, "")
		if r[full] == nil {
			r[full] = map[string][]float64{}
		}
		for _, v := range result.Values {
			r[full][v.Unit] = append(r[full][v.Unit], v.Value)
		}
	}
	return r, reader.Err()
}

// procs is the GOMAXPROCS at the end of a benchmark's name.
var procs = regexp.MustCompile(`-[0-9]+$`)

// keys returns the parts of a name: its benchmark, and the values by key.
func keys(full string) (bench string, values map[string]string) {
	parts := strings.Split(full, "/")
	values = map[string]string{}
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		values[key] = value
	}
	return parts[0], values
}

// print writes a table of what there is of it.
func (t table) print(out io.Writer, r results) {
	var names []string
	for full := range r {
		if bench, _ := keys(full); bench == t.bench {
			names = append(names, full)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(t.order(r, a, b), strings.Compare(a, b)) })
	fmt.Fprintf(out, "## %s\n\n| %s | %s |", t.title, strings.Join(t.rows, " | "), unitName(t.unit))
	if t.base != "" {
		fmt.Fprintf(out, " ratio to %s |", t.base)
	}
	for _, unit := range t.also {
		fmt.Fprintf(out, " %s |", unit)
	}
	fmt.Fprintf(out, "\n|%s\n", strings.Repeat(" --- |", len(t.rows)+1+len(t.also)+map[bool]int{true: 1}[t.base != ""]))
	for _, full := range names {
		_, values := keys(full)
		for _, key := range t.rows {
			fmt.Fprintf(out, "| %s ", values[key])
		}
		m := summary(r[full][t.unit])
		fmt.Fprintf(out, "| %s |", m.in(t.unit))
		if t.base != "" {
			fmt.Fprintf(out, " %s |", t.ratio(r, full, m))
		}
		for _, unit := range t.also {
			fmt.Fprintf(out, " %s |", plain(summary(r[full][unit]).median))
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
}

// order sorts rows by their values, those of one setting by the measure.
func (t table) order(r results, a, b string) int {
	_, va := keys(a)
	_, vb := keys(b)
	for _, key := range t.rows {
		if key == "peer" {
			return cmp.Compare(summary(r[a][t.unit]).median, summary(r[b][t.unit]).median)
		}
		if c := cmp.Or(cmp.Compare(len(va[key]), len(vb[key])), strings.Compare(va[key], vb[key])); c != 0 {
			return c
		}
	}
	return 0
}

// ratio divides by the base of the same setting.
func (t table) ratio(r results, full string, m measure) string {
	_, values := keys(full)
	base := summary(r[strings.Replace(full, "peer="+values["peer"], "peer="+t.base, 1)][t.unit])
	if base.median == 0 {
		return ""
	}
	return fmt.Sprintf("%.3g", m.median/base.median)
}

// measure is a median and how far the values are from it.
type measure struct{ median, spread float64 }

func summary(values []float64) measure {
	if len(values) == 0 {
		return measure{}
	}
	values = slices.Sorted(slices.Values(values))
	m := measure{median: quantile(values, 0.5)}
	if m.median != 0 {
		m.spread = (quantile(values, 0.75) - quantile(values, 0.25)) / m.median / 2
	}
	return m
}

func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func (m measure) in(unit string) string {
	v := m.median
	if unit == "sec/op" {
		v *= 1e9
	}
	return fmt.Sprintf("%s ± %.0f %%", plain(v), 100*m.spread)
}

func plain(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprintf("%.3g", v)
	}
}

func unitName(unit string) string {
	if unit == "sec/op" {
		return "ns"
	}
	return unit
}

// unit is what is compared: on a machine that has other work, processor time.
const unit = "cpu-nanos/op"

// least returns the least of some values: NaN if there are none.
func least(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	return slices.Min(values)
}

// slower is how much slower the hit path may become.
const slower = 1.10

// compareHits holds the ratios to bare Echo of two outputs against each other, by the
// least of each.
func compareHits(out io.Writer, before, after results) error {
	var errs []error
	for _, token := range []string{"jwt", "40B"} {
		for _, peer := range []string{"echomfa", "echomfa in net∕http"} {
			ratio := func(r results) float64 {
				name := "Hit/token=" + token + "/peer="
				return least(r[name+peer][unit]) / least(r[name+"bare"][unit])
			}
			a, b := ratio(before), ratio(after)
			fmt.Fprintf(out, "%s, %s: %.2f x bare before, %.2f x after\n", peer, token, a, b)
			if !(b <= slower*a) { // also if there is none of it
				errs = append(errs, fmt.Errorf("%s, %s: slower by over 10 %%", peer, token))
			}
		}
	}
	return errors.Join(errs...)
}
