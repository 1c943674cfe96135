//go:build lab

package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The lab plays what happens to a Redis on real servers, with four processes of an app. Each
// changes factors, ten a second in all, and all are asked about each until all refuse.
//
// Wrong is a decision that lets a user in although Invalidate had returned nil for more than
// a second when it began, and although the instance and the author had heard for more than a
// second, by their last round of listening. What a cell does not promise, such as the time
// of a split, is in the last column only.

type result struct {
	promise, cell        string
	told, refused, wrong int
	slowest, longest     time.Duration
}

type lab struct{ results []result }

// cell is what happens to a fleet on a topology.
type cell struct {
	promise, name string
	on            *topology
	lasts         time.Duration
	happens       func(f *fleet)
	authors       int // the first so many; 0 for all
	setup         func(*setup)
	left          time.Duration // what is promised is only that nobody is let in for longer
}

func (l *lab) play(t *testing.T, c cell) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		change := []func(*setup){longFresh}
		if c.setup != nil {
			change = append(change, c.setup)
		}
		f := newFleet(t, c.on, 4, change...)
		f.authorGone = c.left > 0
		<-time.After(time.Second)
		if c.authors > 0 {
			f.authors = f.instances[:c.authors]
		}
		f.gap, f.lasts = 100*time.Millisecond, c.lasts
		f.play(func() {
			<-time.After(2 * time.Second)
			if c.happens != nil {
				c.happens(f)
			}
		})
		r := result{c.promise, c.name, f.told, f.refused, f.wrong, f.slowest, f.longest}
		l.results = append(l.results, r)
		t.Logf("the first error: %s", f.err)
		say("| %s | %s | %d nil, %d errors | %d | %v | %v |\n", r.promise, r.cell, r.told, r.refused, r.wrong,
			r.slowest.Round(time.Millisecond), r.longest.Round(time.Millisecond))
		f.holds()
		assert.Zero(t, f.wrong)
		assert.Greater(t, f.told, 10)
		if c.left > 0 {
			assert.Less(t, f.longest, c.left)
		}
		if c.left > 0 || c.promise == split || c.promise == deaf || strings.Contains(c.name, "before it replicates") {
			assert.Greater(t, f.longest, time.Second, "it makes a difference")
		}
	})
}

func say(format string, args ...any) { _, _ = fmt.Fprintf(os.Stdout, format, args...) }

func after(d time.Duration, do func()) { <-time.After(d); do() }

// TestLab plays all cells, one after the other, and prints what README.md has.
func TestLab(t *testing.T) {
	l := &lab{}
	say("| promise | cell | invalidations | wrong | slowest, of what is promised | longest after nil |\n| --- | --- | --- | --- | --- | --- |\n")
	t.Run("one server", l.oneServer)
	t.Run("cluster", l.cluster)
	t.Run("Sentinel", l.sentinel)
	say("\n| topology | cells | invalidations that returned nil | wrong | slowest |\n| --- | --- | --- | --- | --- |\n")
	for _, promise := range promises() {
		cells, told, wrong, slowest := 0, 0, 0, time.Duration(0)
		for _, r := range l.results {
			if r.promise == promise {
				cells, told, wrong, slowest = cells+1, told+r.told, wrong+r.wrong, max(slowest, r.slowest)
			}
		}
		say("| %s | %d | %d | %d | %.2f s |\n", promise, cells, told, wrong, slowest.Seconds())
	}
}

func (l *lab) oneServer(t *testing.T) {
	n := newSingle(t)
	s := n.servers[0]
	do := func(words ...string) func(*fleet) {
		return func(f *fleet) {
			for i, word := range words {
				words[i] = strings.ReplaceAll(word, "PREFIX", f.prefix)
			}
			command(f.t, rawClient(f.t, s.Addr), words...)
		}
	}
	cut := func(only string) func(*fleet) {
		return func(*fleet) {
			n.set(func(it wire) bool { return it.kind == app && it.from == only })
			after(5*time.Second, func() { n.set(nil) })
		}
	}
	short := func(c *setup) { c.FreshFor = 10 * time.Second }
	for _, c := range []cell{
		{oneServer, "nothing happens", n, 4 * time.Second, nil, 0, nil, 0},
		{oneServer, "all connections are closed", n, 6 * time.Second, do("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES"), 0, nil, 0},
		{oneServer, "killed, and started again, empty", n, 8 * time.Second, func(f *fleet) { s.Stop(f.t); s.Start(f.t) }, 0, nil, 0},
		{oneServer, "hangs for 3 s", n, 8 * time.Second, func(f *fleet) { s.Pause(f.t); after(3*time.Second, func() { s.Continue(f.t) }) }, 0, nil, 0},
		{flushed, "FLUSHALL", n, 6 * time.Second, do("FLUSHALL"), 0, nil, 0},
		{flushed, "the log is evicted", n, 6 * time.Second, do("DEL", "PREFIX:v2:{PREFIX:log}:e"), 0, nil, 0},
		{flushed, "the key beside the log is evicted", n, 6 * time.Second, do("DEL", "PREFIX:v2:{PREFIX:log}:h"), 0, nil, 0},
		{deaf, "an instance is cut off for 5 s", n, 12 * time.Second, cut("instance-1"), 0, nil, 0},
		{deaf, "the same, with OnlyWhileHeard", n, 12 * time.Second, cut("instance-1"), 0, func(c *setup) { c.OnlyWhileHeard = true }, 4 * time.Second},
		{"left: " + oneServer, "server and author are lost together, and FreshFor is 10 s", n, 14 * time.Second, func(f *fleet) {
			n.set(func(it wire) bool { return it.kind == app && it.from != "instance-0" })
			<-time.After(800 * time.Millisecond)
			f.instances[0].kill(f.t)
			s.Stop(f.t)
			n.sever(func(it wire) bool { return it.kind == app && it.from != "instance-0" })
			n.set(nil)
			s.Start(f.t)
		}, 1, short, 11 * time.Second},
	} {
		l.play(t, c)
	}
}

func (l *lab) cluster(t *testing.T) {
	t.Run("stays", func(t *testing.T) {
		n := newCluster(t, "1500")
		hung := redistest.New(t, "--cluster-enabled", "yes")
		hung.Pause(t)
		t.Cleanup(func() { hung.Continue(t) })
		awkward := func(c *setup) { c.Addresses = append([]string{dead(t), hung.Addr, silent(t)}, c.Addresses...) }
		busCut := func(which func(f *fleet) func(wire) bool, d time.Duration) func(*fleet) {
			return func(f *fleet) { n.set(which(f)); after(d, func() { n.set(nil) }) }
		}
		ofMaster := func(f *fleet) func(wire) bool {
			name := n.announced[n.logMaster(f.t, f.prefix)]
			return func(it wire) bool { return it.kind == bus && (it.from == name || it.to == name) }
		}
		ofReplica := func(f *fleet) func(wire) bool {
			name := n.announced[n.replicasOf(f.t, n.logMaster(f.t, f.prefix))[0]]
			return func(it wire) bool { return it.kind == bus && (it.from == name || it.to == name) }
		}
		whole := func(*fleet) func(wire) bool { return func(it wire) bool { return it.kind == bus } }
		for _, c := range []cell{
			{moved, "cluster, nothing happens", n, 4 * time.Second, nil, 0, nil, 0},
			{moved, "cluster, a dead, a hung and a silent node in InitAddress", n, 4 * time.Second, nil, 0, awkward, 0},
			{moved, "cluster, all connections to all nodes are closed", n, 6 * time.Second, func(f *fleet) {
				for _, s := range n.servers {
					command(f.t, rawClient(f.t, s.Addr), "CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")
				}
			}, 0, nil, 0},
			{moved, "cluster, the bus to the log's master is cut for 0.5 s", n, 6 * time.Second, busCut(ofMaster, 500*time.Millisecond), 0, nil, 0},
			{moved, "cluster, the bus to a replica is cut for 2 s", n, 6 * time.Second, busCut(ofReplica, 2*time.Second), 0, nil, 0},
			{moved, "cluster, the whole bus is cut for 2 s", n, 10 * time.Second, busCut(whole, 2*time.Second), 0, nil, 0},
			{flushed, "cluster, the log's master is flushed", n, 6 * time.Second, func(f *fleet) {
				command(f.t, rawClient(f.t, n.logMaster(f.t, f.prefix).Addr), "FLUSHALL")
			}, 0, nil, 0},
			{moved, "cluster, the log's slot is moved", n, 8 * time.Second, func(f *fleet) { n.moveLog(f.t, f.prefix) }, 0, nil, 0},
			{moved, "cluster, a replica is removed (del-node)", n, 8 * time.Second, func(f *fleet) {
				n.remove(f.t, n.replicasOf(f.t, n.logMaster(f.t, f.prefix))[0])
			}, 0, nil, 0},
			{moved, "cluster, a master is removed (reshard, del-node)", n, 12 * time.Second, func(f *fleet) {
				from := n.logMaster(f.t, f.prefix)
				to := n.otherMaster(f.t, from)
				redisCLI(f.t, "--cluster", "reshard", n.announced[to], "--cluster-from", id(f.t, from), "--cluster-to", id(f.t, to), "--cluster-slots", "16384", "--cluster-yes")
				n.remove(f.t, from)
			}, 0, nil, 0},
		} {
			l.play(t, c)
		}
	})
	for _, c := range []cell{
		{replicated, "cluster, the log's master is killed", nil, 12 * time.Second, killed, 0, nil, 0},
		{replicated, "cluster, the log's master is stopped and continued", nil, 18 * time.Second, stopped, 0, nil, 0},
		{lost, "cluster, the log's master is killed before it replicates", nil, 12 * time.Second, killedAhead, 1, nil, 0},
		{"left: " + lost, "cluster, the same, the author is killed too, and FreshFor is 10 s", nil, 14 * time.Second, func(f *fleet) {
			killedAhead(f)
			f.instances[0].kill(f.t)
		}, 1, func(c *setup) { c.FreshFor = 10 * time.Second }, 11 * time.Second},
		{split, "cluster, the log's master and the author are apart for 8 s", nil, 18 * time.Second, apart, 0, nil, 0},
	} {
		t.Run("goes", func(t *testing.T) {
			c.on = newCluster(t, "1000")
			l.play(t, c)
		})
	}
}

func (l *lab) sentinel(t *testing.T) {
	n := newSentinels(t)
	hung := redistest.NewSentinel(t, "sentinel resolve-hostnames no")
	hung.Pause(t)
	t.Cleanup(func() { hung.Continue(t) })
	awkward := func(c *setup) { c.Addresses = append([]string{dead(t), hung.Addr, silent(t)}, c.Addresses...) }
	l.play(t, cell{moved, "Sentinel, nothing happens", n, 4 * time.Second, nil, 0, nil, 0})
	l.play(t, cell{moved, "Sentinel, a dead, a hung and a silent sentinel in InitAddress", n, 4 * time.Second, nil, 0, awkward, 0})
	l.play(t, cell{moved, "Sentinel, all connections are closed", n, 6 * time.Second, func(f *fleet) {
		for _, s := range append(n.servers, n.sentinels...) {
			command(f.t, rawClient(f.t, s.Addr), "CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")
		}
	}, 0, nil, 0})
	guarded := []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"}
	for _, c := range []struct {
		cell

		more []string
	}{
		{cell{replicated, "Sentinel, the master is killed", nil, 12 * time.Second, killed, 0, nil, 0}, nil},
		{cell{replicated, "Sentinel, each instance's sentinel falls silent, and the master is killed", nil, 14 * time.Second, func(f *fleet) {
			before := f.on.now()
			f.on.set(func(it wire) bool { return slices.Contains(f.on.setup.Addresses, it.to) && slices.Contains(before, it) })
			killed(f)
		}, 0, nil, 0}, nil},
		{cell{replicated, "Sentinel, the master is stopped and continued", nil, 18 * time.Second, stopped, 0, nil, 0}, nil},
		{cell{lost, "Sentinel, the master is killed before it replicates", nil, 12 * time.Second, killedAhead, 1, nil, 0}, nil},
		{cell{lost, "Sentinel, sentinels and replicas lose the master, the app does not", nil, 16 * time.Second, func(f *fleet) {
			name := f.on.announced[f.on.logMaster(f.t, f.prefix)]
			f.on.set(func(it wire) bool { return it.kind == data && it.to == name })
			after(8*time.Second, func() { f.on.set(nil) })
		}, 0, nil, 0}, nil},
		{cell{"left: " + lost, "Sentinel, the master is killed before it replicates, the author too, and FreshFor is 10 s", nil, 14 * time.Second, func(f *fleet) {
			killedAhead(f)
			f.instances[0].kill(f.t)
		}, 1, func(c *setup) { c.FreshFor = 10 * time.Second }, 11 * time.Second}, nil},
		{cell{split, "Sentinel, the master and the author are apart for 8 s", nil, 18 * time.Second, apart, 0, nil, 0}, nil},
		{cell{split, "Sentinel, the same, with min-replicas-to-write 1 and min-replicas-max-lag 1", nil, 18 * time.Second, apart, 0, nil, 0}, guarded},
	} {
		t.Run("goes", func(t *testing.T) {
			c.on = newSentinels(t, c.more...)
			l.play(t, c.cell)
		})
	}
}

// killed ends the master of the log.
func killed(f *fleet) { f.on.logMaster(f.t, f.prefix).Stop(f.t) }

// stopped has the master of the log hang until another is in its place.
func stopped(f *fleet) {
	s := f.on.logMaster(f.t, f.prefix)
	s.Pause(f.t)
	after(8*time.Second, func() { s.Continue(f.t) })
}

// killedAhead cuts the master of the log off, but from the first instance, and ends it when
// it has acknowledged what nobody else has heard.
func killedAhead(f *fleet) {
	s := f.on.logMaster(f.t, f.prefix)
	name := f.on.announced[s]
	cut := func(it wire) bool {
		return it.to == name && (it.kind == data || it.kind == app && it.from != "instance-0")
	}
	f.on.set(cut)
	<-time.After(800 * time.Millisecond)
	s.Stop(f.t)
	f.on.sever(cut)
	f.on.set(nil)
}

// apart cuts the network: the master of the log and the first instance are on one side.
func apart(f *fleet) {
	s := f.on.logMaster(f.t, f.prefix)
	name := f.on.announced[s]
	minority := func(end string) bool { return end == name || end == "instance-0" }
	f.promises(false)
	f.on.set(func(it wire) bool { return minority(it.from) != minority(it.to) })
	<-time.After(8 * time.Second)
	f.on.set(nil)
	f.promises(true)
}

// redisCLI manages a cluster.
func redisCLI(t *testing.T, words ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "redis-cli", words...).CombinedOutput()
	require.NoError(t, err, "%v: %s", words, out)
}

// id is the name of a node in its cluster.
func id(t *testing.T, s *redistest.Server) string {
	t.Helper()
	text, err := command(t, rawClient(t, s.Addr), "CLUSTER", "MYID").ToString()
	require.NoError(t, err)
	return text
}

// remove takes a node out of a cluster. It goes on running.
func (n *topology) remove(t *testing.T, s *redistest.Server) {
	t.Helper()
	name := id(t, s)
	n.servers = slices.DeleteFunc(n.servers, func(other *redistest.Server) bool { return other == s })
	redisCLI(t, "--cluster", "del-node", n.announced[n.servers[0]], name)
}

// otherMaster returns another master of a cluster.
func (n *topology) otherMaster(t *testing.T, than *redistest.Server) *redistest.Server {
	t.Helper()
	for _, s := range n.servers {
		if s != than && isMaster(t, s) {
			return s
		}
	}
	require.Fail(t, "there is no other master")
	return nil
}

// moveLog moves the slot of the log to another master. For a second one of its two keys is
// on each of them.
func (n *topology) moveLog(t *testing.T, prefix string) {
	t.Helper()
	from := n.logMaster(t, prefix)
	to := n.otherMaster(t, from)
	source, target := rawClient(t, from.Addr), rawClient(t, to.Addr)
	slot, err := command(t, source, "CLUSTER", "KEYSLOT", logOf(prefix)).AsInt64()
	require.NoError(t, err)
	number := itoa(int(slot))
	host, port, err := net.SplitHostPort(to.Addr)
	require.NoError(t, err)
	command(t, target, "CLUSTER", "SETSLOT", number, "IMPORTING", id(t, from))
	command(t, source, "CLUSTER", "SETSLOT", number, "MIGRATING", id(t, to))
	move := func(key string) []string { return []string{"MIGRATE", host, port, key, "0", "5000"} }
	command(t, source, move(logOf(prefix))...)
	own := []string{"CLUSTER", "SETSLOT", number, "NODE", id(t, to)}
	<-time.After(time.Second)
	for _, step := range []struct {
		c     rueidis.Client
		words []string
	}{{source, move(historyOf(prefix))}, {target, own}, {source, own}} {
		assert.NoError(t, step.c.Do(context.WithoutCancel(t.Context()), step.c.B().Arbitrary(step.words...).Build()).Error())
	}
}

// replicasOf returns the servers that follow one.
func (n *topology) replicasOf(t *testing.T, master *redistest.Server, except ...*redistest.Server) (all []*redistest.Server) {
	t.Helper()
	_, port, err := net.SplitHostPort(n.announced[master])
	require.NoError(t, err)
	for _, s := range n.running(except...) {
		if strings.Contains(ask(t, s, "INFO", "replication"), "master_port:"+port+"\r") {
			all = append(all, s)
		}
	}
	return all
}

// kill ends an instance at once.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	i.mu.Lock()
	i.killed = true
	i.mu.Unlock()
	require.NoError(t, i.cmd.Process.Kill())
	<-i.gone
}

// promises says whether something is promised from now on.
func (f *fleet) promises(something bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.excuse = time.Now()
	if !something {
		f.excuse = f.excuse.Add(time.Hour)
	}
}
