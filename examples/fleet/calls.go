package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
)

// leastWithout is how often several instances ask at least without the store, as a
// multiple of one: otherwise the traffic shows nothing.
const leastWithout = 1.9

const workers = 64 // send the requests

// measureCalls counts how often fleets of several sizes ask GenAuth, each with and
// without the store.
func measureCalls(ctx context.Context, shared *redis, s size, out io.Writer) error {
	genauth, err := genauthtest.New(genauthtest.Config{}) //nolint:contextcheck // Close ends it
	if err != nil {
		return err
	}
	defer genauth.Close()
	tokens := signIn(genauth, s.users)
	traffic := zipf(s.users, s.requests, 1)
	_, _ = fmt.Fprintf(out, `
Calls to GenAuth: %d users, Zipf 1.0, %d requests, spread in turn, the same each time.
All have the factor. Handlers are called without sockets, GenAuth and Redis over them.
Time is scaled: FreshFor %v and %d requests a second, that is as many requests
for each FreshFor as %d a second at 60 s. What GenAuth and Redis take is not scaled.

`, s.users, s.requests, s.freshFor, s.perSecond, int(math.Round(float64(s.perSecond)*s.freshFor.Seconds()/60)))
	_, _ = fmt.Fprintln(out, "instances   without the store      with the store")
	var one [2]int
	var errs []error
	for _, n := range s.instances {
		var line strings.Builder
		_, _ = fmt.Fprintf(&line, "%9d", n)
		for i, store := range []*redis{nil, shared} {
			r, err := runTraffic(ctx, genauth, n, store, s, tokens, traffic)
			for again := 0; again < s.retries && err == nil && r.disturbed(s); again++ {
				_, _ = fmt.Fprintf(out, "          (once more: the machine was busy for %v)\n", r.late.Round(10*time.Millisecond))
				r, err = runTraffic(ctx, genauth, n, store, s, tokens, traffic)
			}
			if err != nil {
				return err
			}
			if n == 1 {
				one[i] = r.calls
			}
			ratio := float64(r.calls) / float64(one[i])
			_, _ = fmt.Fprintf(&line, "   %6d calls %6.3f x", r.calls, ratio)
			if r.disturbed(s) {
				_, _ = fmt.Fprint(&line, " (on a busy machine)")
			}
			switch {
			case r.disturbed(s): // it shows nothing
			case n > 1 && store != nil && ratio > s.most:
				errs = append(errs, fmt.Errorf("%d instances with the store: %.3f times the calls of one, and not at most %v", n, ratio, s.most))
			case n > 1 && store == nil && ratio < leastWithout:
				errs = append(errs, fmt.Errorf("%d instances without the store: %.3f times the calls of one, and not at least %v", n, ratio, leastWithout))
			}
		}
		_, _ = fmt.Fprintln(out, line.String())
	}
	return errors.Join(errs...)
}

// signIn adds users with OTP, and returns a token of each.
func signIn(genauth *genauthtest.Server, users int) []string {
	tokens := make([]string, users)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(users); i = next.Add(1) - 1 {
				user := genauth.AddUser(genauthtest.User{Factors: []genauthtest.FactorType{genauthtest.OTP}})
				tokens[i] = genauth.AccessToken(user.ID)
			}
		})
	}
	wg.Wait()
	return tokens
}

// zipf returns who sends each of the requests: the user of rank k with a
// probability of 1/k^exponent, for a fixed seed.
func zipf(users, requests int, exponent float64) []int {
	sums := make([]float64, users)
	total := 0.0
	for k := range sums {
		total += math.Pow(float64(k+1), -exponent)
		sums[k] = total
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it is to be the same each time
	senders := make([]int, requests)
	for i := range senders {
		senders[i] = min(sort.SearchFloat64s(sums, random.Float64()*total), users-1)
	}
	return senders
}

// result is the result of some traffic.
type result struct {
	calls  int
	late   time.Duration // that the latest request was
	failed uint64        // calls to the store
}

// disturbed reports whether the machine had no time for the traffic: requests were
// much too late, or the store did not answer in time.
func (r *result) disturbed(s size) bool { return r.late > s.freshFor/20 || r.failed > 0 }

// runTraffic sends the requests to the instances in turn, each at its time.
func runTraffic(ctx context.Context, genauth *genauthtest.Server, n int, store *redis, s size, tokens []string, traffic []int) (r result, err error) {
	f, err := newFleet(n, genauth, store, s.freshFor, unlimited()) //nolint:contextcheck // close ends it
	if err != nil {
		return result{}, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	probe := genauth.AddUser(genauthtest.User{Factors: []genauthtest.FactorType{genauthtest.OTP}})
	if err := f.ready(ctx, genauth, probe.ID); err != nil {
		return result{}, err
	}
	before, begin := genauth.ListCalls(), time.Now()
	var next, wrong, latest atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= len(traffic) || ctx.Err() != nil {
					return
				}
				due := begin.Add(time.Duration(i) * time.Second / time.Duration(s.perSecond))
				if early := time.Until(due); early > 0 {
					time.Sleep(early)
				}
				late := int64(time.Since(due))
				for l := latest.Load(); late > l && !latest.CompareAndSwap(l, late); l = latest.Load() {
				}
				if f[i%n].ask(ctx, tokens[traffic[i]]) != http.StatusOK {
					wrong.Add(1)
				}
			}
		})
	}
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return result{}, ctx.Err()
	case wrong.Load() > 0:
		return result{}, fmt.Errorf("%d of %d requests were not let in", wrong.Load(), len(traffic))
	}
	r = result{calls: genauth.ListCalls() - before, late: time.Duration(latest.Load())}
	for _, i := range f {
		r.failed += i.mfa.Stats().Store.Failed
	}
	return r, nil
}
