// Fleet shows what a shared store does for several instances of an app: how often
// they ask GenAuth with it and without it, how soon a change of a user's factors
// takes effect on all of them, what that costs, and what users notice while Redis has
// trouble. It starts redis-server, or uses REDIS_URL for all but the last, and runs against a GenAuth emulator in the same process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	code := run(ctx, os.Getenv("REDIS_URL"), fullSize(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// size is how much is measured.
type size struct {
	users, requests int
	perSecond       int           // requests
	freshFor        time.Duration // of the traffic
	instances       []int
	rounds          int     // changes of a user's factors
	most            float64 // times the calls of one instance, with the store
	retries         int     // of traffic that was disturbed
	costs           costs
	blips           blips
}

// fullSize is 1,000 requests a second at the default FreshFor of 60 s, fifteen
// times as fast.
func fullSize() size {
	return size{
		users: 10_000, requests: 100_000, perSecond: scale * 1_000, freshFor: time.Minute / scale,
		instances: []int{1, 4, 8}, rounds: 25, most: 1.05, retries: 3,
		costs: costs{idle: 10 * time.Second, passes: 10, reads: 1_000, most: 0.01},
		blips: blips{users: 3_000, perSecond: 500, lookups: 25, each: 30 * time.Second, judged: true},
	}
}

const scale = 15

// run measures and prints. It returns the exit status: 2 if there is no Redis to
// be had, 1 if something else fails or is not as it ought to be.
func run(ctx context.Context, redisURL string, s size, out, errOut io.Writer) int {
	err := measure(ctx, redisURL, s, out)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(errOut, "fleet: ended before all was measured")
		return 1
	case errors.Is(err, errNoRedis):
		_, _ = fmt.Fprintln(errOut, "fleet:", err)
		return 2
	default:
		_, _ = fmt.Fprintln(errOut, "fleet:", err)
		return 1
	}
}

func measure(ctx context.Context, redisURL string, s size, out io.Writer) (err error) {
	redis, err := findRedis(ctx, redisURL)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.stop()) }()
	_, _ = fmt.Fprintln(out, "fleet: Redis:", redis.what)
	if err := measureCalls(ctx, redis, s, out); err != nil {
		return err
	}
	if err := measureChanges(ctx, redis, s.rounds, out); err != nil {
		return err
	}
	if err := measureCosts(ctx, redis, s.costs, out); err != nil {
		return err
	}
	return measureBlips(ctx, s.blips, out)
}
