//go:build lab

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// The lab plays what happens to a Redis on real processes, with four Enforcers on it.
// Wrong is a decision that lets a user in more than a second after the factor was removed
// and Invalidate has returned nil, by an instance that was not deaf since.

// lab is a fleet, and what it did.
type lab struct {
	t     *testing.T
	fleet []*echomfa.Enforcer

	mu       sync.Mutex
	enrolled map[string]bool
	told     int           // invalidations that returned nil
	refused  int           // that returned an error
	wrong    int           // decisions
	slowest  time.Duration // from nil until all refuse
	wg       sync.WaitGroup
}

func newLab(t *testing.T, option rueidis.ClientOption) *lab {
	t.Helper()
	l := &lab{t: t, enrolled: make(map[string]bool)}
	lister := echomfa.FactorListerFunc(func(_ context.Context, token string) ([]client.Factor, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.enrolled[token] {
			return []client.Factor{{Type: echomfa.OTP}}, nil
		}
		return nil, nil
	})
	for range 4 {
		e, err := echomfa.New(echomfa.Config{
			Client: lister, Namespace: "lab", InsecureAnyAudience: true,
			Cache:  echomfa.CacheConfig{Store: newStore(t, redisstore.Config{Redis: option})},
			Lookup: echomfa.LookupConfig{MaxPerSecond: 1e6},
		})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, e.Close()) })
		l.fleet = append(l.fleet, e)
	}
	eventually(t, func() bool {
		for _, e := range l.fleet {
			if e.Stats().Store.Deaf {
				return false
			}
		}
		return true
	}, "the fleet does not hear")
	<-time.After(time.Second)
	return l
}

func (l *lab) set(token string, enrolled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enrolled[token] = enrolled
}

// change removes a factor that all instances know of, on one of them.
func (l *lab) change(n int) {
	token := fmt.Sprintf("token-%d-of-%s", n, prefixOf(l.t)) // of characters that a token may have
	otp := echomfa.AnyOf(echomfa.OTP)
	l.set(token, true)
	for _, e := range l.fleet {
		_, _ = e.Decide(context.Background(), token, otp)
	}
	l.set(token, false)
	err := l.fleet[n%len(l.fleet)].Invalidate(context.Background(), token)
	begun := time.Now()
	var refused *echomfa.TokenError
	require.NotErrorAs(l.t, err, &refused, "the lab's own mistake")
	l.mu.Lock()
	if err != nil {
		if l.refused++; l.refused == 1 {
			l.t.Log("the first error:", err)
		}
	} else {
		l.told++
	}
	l.mu.Unlock()
	if err != nil {
		return
	}
	for _, e := range l.fleet {
		l.wg.Go(func() {
			deaf := false
			for time.Since(begun) < 20*time.Second {
				d, _ := e.Decide(context.Background(), token, otp)
				after := time.Since(begun)
				deaf = deaf || e.Stats().Store.Deaf
				l.mu.Lock()
				if d.Outcome == echomfa.Allowed && after > time.Second && !deaf {
					l.wrong++
				}
				if d.Outcome == echomfa.NotEnrolled && !deaf {
					l.slowest = max(l.slowest, after)
				}
				l.mu.Unlock()
				if d.Outcome == echomfa.NotEnrolled {
					return
				}
				<-time.After(5 * time.Millisecond)
			}
			l.mu.Lock()
			l.wrong++ // for good, deaf or not
			l.mu.Unlock()
		})
	}
}

// play changes factors while something happens after two seconds, and prints a row.
func (l *lab) play(cell string, happen func(), d time.Duration) {
	l.t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var once sync.Once
	begun := time.Now()
	for n := 0; time.Since(begun) < d; n++ {
		<-ticker.C
		l.change(n)
		if time.Since(begun) > 2*time.Second {
			once.Do(happen)
		}
	}
	l.wg.Wait()
	fmt.Printf("| %s | %d nil, %d errors | %d wrong | %v |\n", cell, l.told, l.refused, l.wrong, l.slowest.Round(time.Millisecond))
	assert.Zero(l.t, l.wrong)
	assert.Greater(l.t, l.told, 10)
}

// newCluster starts three masters and a replica of each.
func newCluster(t *testing.T) (servers []*redistest.Server, option rueidis.ClientOption) {
	t.Helper()
	args := []string{"--cluster", "create"}
	for range 6 {
		s := redistest.New(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
		servers, args = append(servers, s), append(args, s.Addr)
		option.InitAddress = append(option.InitAddress, s.Addr)
	}
	out, err := exec.CommandContext(t.Context(), "redis-cli", append(args, "--cluster-replicas", "1", "--cluster-yes")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, s := range servers {
		eventually(t, func() bool {
			info, err := rawClient(t, s.Addr).Do(t.Context(), rawClient(t, s.Addr).B().ClusterInfo().Build()).ToString()
			return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:6")
		}, "the cluster is not up")
	}
	return servers, option
}

// master returns the server that has the log.
func master(t *testing.T, servers []*redistest.Server) *redistest.Server {
	t.Helper()
	for _, s := range servers {
		c := rawClient(t, s.Addr)
		role, err := command(t, c, "ROLE").ToArray()
		require.NoError(t, err)
		name, _ := role[0].ToString()
		if name != "master" {
			continue
		}
		if err := c.Do(t.Context(), c.B().Get().Key("echomfa:v2:{echomfa:log}:h").Build()).Error(); err == nil {
			return s
		}
	}
	require.Fail(t, "no server has the log")
	return nil
}

// moveLog moves the slot of the log to another master. For a second one of its two keys is
// on each of them.
func moveLog(t *testing.T, servers []*redistest.Server) {
	t.Helper()
	from := master(t, servers)
	var to *redistest.Server
	for _, s := range servers {
		role, err := command(t, rawClient(t, s.Addr), "ROLE").ToArray()
		require.NoError(t, err)
		if name, _ := role[0].ToString(); name == "master" && s != from {
			to = s
		}
	}
	id := func(s *redistest.Server) string {
		text, err := command(t, rawClient(t, s.Addr), "CLUSTER", "MYID").ToString()
		require.NoError(t, err)
		return text
	}
	source, target := rawClient(t, from.Addr), rawClient(t, to.Addr)
	slot, err := command(t, source, "CLUSTER", "KEYSLOT", logOf("echomfa")).AsInt64()
	require.NoError(t, err)
	number := strconv.FormatInt(slot, 10)
	host, port, err := net.SplitHostPort(to.Addr)
	require.NoError(t, err)
	command(t, target, "CLUSTER", "SETSLOT", number, "IMPORTING", id(from))
	command(t, source, "CLUSTER", "SETSLOT", number, "MIGRATING", id(to))
	move := func(key string) []string { return []string{"MIGRATE", host, port, key, "0", "5000"} }
	command(t, source, move(logOf("echomfa"))...)
	own := []string{"CLUSTER", "SETSLOT", number, "NODE", id(to)}
	time.AfterFunc(time.Second, func() {
		ctx := context.WithoutCancel(t.Context())
		for _, step := range []struct {
			c     rueidis.Client
			words []string
		}{{source, move("echomfa:v2:{echomfa:log}:h")}, {target, own}, {source, own}} {
			assert.NoError(t, step.c.Do(ctx, step.c.B().Arbitrary(step.words...).Build()).Error())
		}
	})
}

// newSentinels starts a master, two replicas and three sentinels.
func newSentinels(t *testing.T) (servers []*redistest.Server, option rueidis.ClientOption) {
	t.Helper()
	first := redistest.New(t)
	host, port, err := net.SplitHostPort(first.Addr)
	require.NoError(t, err)
	servers = []*redistest.Server{first}
	for range 2 {
		servers = append(servers, redistest.New(t, "--replicaof", host+" "+port))
	}
	option.Sentinel.MasterSet = "lab"
	for range 3 {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addr := l.Addr().String()
		require.NoError(t, l.Close())
		_, own, _ := net.SplitHostPort(addr)
		dir := t.TempDir()
		conf := filepath.Join(dir, "sentinel.conf")
		require.NoError(t, os.WriteFile(conf, []byte(strings.Join([]string{
			"port " + own, "bind 127.0.0.1", "dir " + dir,
			"sentinel monitor lab " + host + " " + port + " 2",
			"sentinel down-after-milliseconds lab 1000", "sentinel failover-timeout lab 3000", "",
		}, "\n")), 0o600))
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", conf, "--sentinel")
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Error(err)
			}
			_ = cmd.Wait()
		})
		option.InitAddress = append(option.InitAddress, addr)
	}
	for _, addr := range option.InitAddress {
		eventually(t, func() bool {
			c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true, ForceSingleClient: true})
			if err != nil {
				return false
			}
			defer c.Close()
			out, err := c.Do(t.Context(), c.B().Arbitrary("INFO", "sentinel").Build()).ToString()
			return err == nil && strings.Contains(out, "slaves=2,sentinels=3")
		}, "the sentinels do not know each other")
	}
	return servers, option
}

// TestLab plays the cells of the table in README.md, one after the other.
func TestLab(t *testing.T) {
	fmt.Println("| cell | invalidations | decisions | nil until all refuse, at most |\n| --- | --- | --- | --- |")
	t.Run("one server", func(t *testing.T) {
		s := redistest.New(t)
		c := rawClient(t, s.Addr)
		option := rueidis.ClientOption{InitAddress: []string{s.Addr}}
		newLab(t, option).play("one server, nothing happens", func() {}, 4*time.Second)
		newLab(t, option).play("one server, all connections are cut", func() { command(t, c, "CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES") }, 6*time.Second)
		newLab(t, option).play("one server, FLUSHALL", func() { command(t, c, "FLUSHALL") }, 6*time.Second)
	})
	t.Run("cluster", func(t *testing.T) {
		servers, option := newCluster(t)
		newLab(t, option).play("cluster, nothing happens", func() {}, 4*time.Second)
		newLab(t, option).play("cluster, the log's master is flushed", func() { command(t, rawClient(t, master(t, servers).Addr), "FLUSHALL") }, 6*time.Second)
		newLab(t, option).play("cluster, the log's slot is moved", func() { moveLog(t, servers) }, 8*time.Second)
		newLab(t, option).play("cluster, the log's master is killed", func() { master(t, servers).Stop(t) }, 15*time.Second)
	})
	t.Run("cluster, stopped", func(t *testing.T) {
		servers, option := newCluster(t)
		newLab(t, option).play("cluster, the log's master is stopped and continued", func() {
			s := master(t, servers)
			s.Pause(t)
			t.Cleanup(func() { s.Continue(t) })
			time.AfterFunc(8*time.Second, func() { s.Continue(t) })
		}, 18*time.Second)
	})
	t.Run("Sentinel", func(t *testing.T) {
		servers, option := newSentinels(t)
		newLab(t, option).play("Sentinel, nothing happens", func() {}, 4*time.Second)
		newLab(t, option).play("Sentinel, the master is killed", func() { servers[0].Stop(t) }, 20*time.Second)
	})
}
