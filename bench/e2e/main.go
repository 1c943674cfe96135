// E2e measures the way of a request end to end: wrk against a server of its own
// for each peer, over loopback, the peers in turn. It prints lines as benchmarks
// do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa/bench/peer"
)

func main() {
	serve := flag.String("serve", "", "serve one peer, and print the address and the token")
	passes := flag.Int("passes", 8, "how often each peer is measured")
	connections := flag.Int("connections", 16, "connections that wrk holds open")
	duration := flag.Duration("duration", 3*time.Second, "how long each measurement takes")
	flag.Parse()
	var err error
	if *serve != "" {
		err = server(*serve)
	} else {
		err = measure(*passes, *connections, *duration)
	}
	if err != nil {
		log.Fatal("e2e: ", err)
	}
}

// peers are those of the hit path, and bare Echo.
func peers() []peer.Peer {
	bare := peer.Peer{Name: "bare", New: func() echo.MiddlewareFunc { return nil }}
	return slices.Concat([]peer.Peer{bare}, peer.Any(), peer.Verifiers(), peer.Uncached())
}

func server(name string) error {
	for _, p := range peers() {
		if p.Name != name {
			continue
		}
		e := echo.New()
		e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "Hello, admin\n") })
		if guard := p.New(); guard != nil {
			e.Use(guard)
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		fmt.Println(listener.Addr(), p.Token(peer.NewTokens("alice")))
		s := &http.Server{Handler: e, ReadHeaderTimeout: 5 * time.Second}
		go func() {
			<-ctx.Done()
			_ = s.Close()
		}()
		if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
	return fmt.Errorf("no peer %q", name)
}

func measure(passes, connections int, duration time.Duration) error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("wrk is missing: sudo apt-get install -y wrk")
	}
	for range passes {
		for _, p := range peers() {
			if err := one(p, connections, duration); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
		}
	}
	return nil
}

// one measures one peer once.
func one(p peer.Peer, connections int, duration time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), duration+time.Minute)
	defer cancel()
	s := exec.CommandContext(ctx, self, "-serve", p.Name)
	s.Stderr = os.Stderr
	pipe, err := s.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.Start(); err != nil {
		return err
	}
	var address, token string
	if _, err := fmt.Fscanln(pipe, &address, &token); err != nil {
		return err
	}
	wrk := exec.CommandContext(ctx, "wrk", "-t1", "-c", strconv.Itoa(connections), "-d", duration.String(), "--latency",
		"-H", "Authorization: Bearer "+token, "http://"+address+"/")
	out, err := wrk.CombinedOutput()
	if err := errors.Join(err, s.Process.Signal(syscall.SIGTERM)); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := s.Wait(); err != nil {
		return err
	}
	cpu := s.ProcessState.UserTime() + s.ProcessState.SystemTime()
	return report(p.Name, string(out), cpu)
}

var (
	total = regexp.MustCompile(`(\d+) requests in ([\d.]+)s`)
	share = regexp.MustCompile(`(50|99)%\s+([\d.]+)(us|ms|s)`)
)

// report prints what wrk says.
func report(name, out string, cpu time.Duration) error {
	m := total.FindStringSubmatch(out)
	if m == nil || strings.Contains(out, "Non-2xx") {
		return fmt.Errorf("wrk: %s", out)
	}
	requests, err1 := strconv.ParseFloat(m[1], 64)
	seconds, err2 := strconv.ParseFloat(m[2], 64)
	latency := map[string]time.Duration{}
	for _, part := range share.FindAllStringSubmatch(out, -1) {
		d, err := time.ParseDuration(part[2] + part[3])
		if err != nil {
			return err
		}
		latency[part[1]] = d
	}
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	fmt.Printf("BenchmarkEndToEnd/peer=%s %.0f %.1f req/s %.1f p50-us %.1f p99-us %.3f cpu-us/req\n",
		strings.ReplaceAll(name, " ", "_"), requests, requests/seconds,
		float64(latency["50"].Nanoseconds())/1e3, float64(latency["99"].Nanoseconds())/1e3, float64(cpu.Nanoseconds())/1e3/requests)
	return nil
}
