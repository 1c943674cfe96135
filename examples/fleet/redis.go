package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/echomfa/echomfa/internal/child"
	"github.com/redis/rueidis"
)

var errNoRedis = errors.New("there is no redis-server: set REDIS_URL, such as redis://127.0.0.1:6379/0, " +
	"or install it: sudo apt-get install -y redis-server")

// redis is a Redis to be used.
type redis struct {
	what   string
	option rueidis.ClientOption
	stop   func() error
}

// findRedis returns the Redis of a URL, or starts one without persistence on a
// free port of loopback.
func findRedis(ctx context.Context, url string) (*redis, error) {
	if url != "" {
		option, err := rueidis.ParseURL(url)
		if err != nil {
			return nil, fmt.Errorf("REDIS_URL: %w", err)
		}
		r := &redis{what: "REDIS_URL", option: option, stop: func() error { return nil }}
		if err := r.do(ctx, r.option, "PING"); err != nil {
			return nil, fmt.Errorf("REDIS_URL: %w", err)
		}
		return r, nil
	}
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errNoRedis
	}
	// A port that is free now may be taken when the server comes to it.
	for range 5 {
		var r *redis
		if r, err = startRedis(ctx, program); err == nil || ctx.Err() != nil {
			return r, err
		}
	}
	return nil, err
}

func startRedis(ctx context.Context, program string, more ...string) (*redis, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	// Only stop ends it: whoever uses it ends first.
	server := exec.CommandContext(context.WithoutCancel(ctx), program, append(more, //nolint:gosec // it was looked up
		"--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no")...)
	server.Dir = os.TempDir()
	// Ctrl-C in a terminal is for the whole group; this one is ended by stop.
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	child.EndWithParent(server, syscall.SIGKILL)
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("redis-server: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	r := &redis{
		what:   fmt.Sprintf("%s, process %d, at %s", program, server.Process.Pid, addr),
		option: rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true},
		stop:   func() error { return endRedis(server.Process, ended) },
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if r.do(ctx, r.option, "PING") == nil {
			return r, nil
		}
		select {
		case err := <-ended:
			return nil, fmt.Errorf("redis-server ended: %w", errors.Join(err, errors.New("no server")))
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), r.stop())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(errors.New("redis-server does not answer"), r.stop())
		}
	}
}

func endRedis(server *os.Process, ended <-chan error) error {
	if err := server.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended: //nolint:errcheck // it was told to
		return nil
	case <-time.After(5 * time.Second):
		return errors.Join(errors.New("redis-server does not end"), server.Kill())
	}
}

// do sends one command, to what the option says.
func (r *redis) do(ctx context.Context, option rueidis.ClientOption, words ...string) error {
	option.DisableCache = true
	client, err := rueidis.NewClient(option)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return client.Do(ctx, client.B().Arbitrary(words...).Build()).Error()
}

func freeAddr(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
