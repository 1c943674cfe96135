package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const masterSet = "fleet" // the sentinel's name of the master and its replica

// startWatched starts a Redis with a replica, and a sentinel that watches both.
func startWatched(ctx context.Context) (r *redis, err error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errNoRedis
	}
	var started []*redis
	stop := func() error {
		var errs []error
		for _, s := range started {
			errs = append(errs, s.stop())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, stop())
		}
	}()
	start := func(more ...string) (host, port string, err error) {
		s, err := startRedis(ctx, program, more...)
		if err != nil {
			return "", "", err
		}
		started = append(started, s)
		return net.SplitHostPort(s.option.InitAddress[0])
	}
	host, port, err := start()
	if err != nil {
		return nil, err
	}
	if _, _, err = start("--replicaof", host+" "+port); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fleet-")
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\nsentinel down-after-milliseconds %[1]s 10000\nsentinel failover-timeout %[1]s 5000\n", masterSet, host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	_, watches, err := start(conf, "--sentinel")
	if err != nil {
		return nil, err
	}
	sentinel := started[len(started)-1]
	r = &redis{
		what:   "sentinel at 127.0.0.1:" + watches,
		option: rueidis.ClientOption{InitAddress: sentinel.option.InitAddress, Sentinel: rueidis.SentinelOption{MasterSet: masterSet}},
		stop:   func() error { return errors.Join(stop(), os.RemoveAll(dir)) },
	}
	if err := r.replicated(ctx, sentinel.option); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// replicated waits until the sentinel knows a replica that it could make the master.
func (r *redis) replicated(ctx context.Context, sentinel rueidis.ClientOption) error {
	sentinel.DisableCache = true
	client, err := rueidis.NewClient(sentinel)
	if err != nil {
		return err
	}
	defer client.Close()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		said, err := client.Do(ctx, client.B().SentinelReplicas().Master(masterSet).Build()).ToArray()
		if err == nil && len(said) == 1 {
			if of, err := said[0].AsStrMap(); err == nil && of["master-link-status"] == "ok" && !strings.Contains(of["flags"], "down") {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("the sentinel knows no replica")
}
