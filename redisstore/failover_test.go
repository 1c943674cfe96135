package redisstore_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// In these tests three processes of an app are on a cluster or behind sentinels, of real
// servers. Factors are fresh for longer than the tests last: an instance that refuses a user
// has heard of it. What depends on how fast a machine is, the lab measures: see lab_test.go.

// What README.md promises: the lab plays each, in some cells.
const (
	oneServer  = "one server"
	moved      = "cluster or Sentinel: a connection is lost, a replica removed, the bus cut"
	replicated = "failover, the entry was replicated"
	lost       = "failover, the entry was lost"
	split      = "split, the author in the minority"
	flushed    = "`FLUSHALL`, the log evicted"
	deaf       = "an instance that is deaf"
)

func promises() []string {
	return []string{oneServer, moved, replicated, lost, split, flushed, deaf}
}

// TestLabPlaysWhatREADMEPromises compares the lab's list with the table.
func TestLabPlaysWhatREADMEPromises(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(raw), "| topology |")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n\n")
	var rows []string
	for _, row := range strings.Split(table, "\n")[2:] {
		rows = append(rows, strings.TrimSpace(strings.Split(row, "|")[1]))
	}
	assert.Equal(t, promises(), rows)
}

func longFresh(c *setup) { c.FreshFor = 5 * time.Minute }

// onAnyMachine is for one that is too busy to answer at once.
func onAnyMachine(c *setup) {
	longFresh(c)
	c.DialFor, c.AnswerFor = 3*time.Second, 1500*time.Millisecond
}

// TestFleetTellsWhoIsLetInForGood: the judge of these tests notices an instance that misses one
// invalidation, however long it is waited for, and nothing else.
func TestFleetTellsWhoIsLetInForGood(t *testing.T) {
	t.Parallel()
	f := newFleet(t, newSingle(t), 2, onAnyMachine, func(c *setup) { c.Misses = c.Name == "instance-1" })
	f.grace, f.authors = 0, f.instances[:1]
	f.play(func() {})
	assert.Empty(t, f.silent)
	require.Len(t, f.stillLet, 1)
	assert.Regexp(t, `^instance-1 token-\d+-of`, f.stillLet[0])
}

// TestTopologyCluster: R1 to R3, R5 and R8 on a cluster of three masters with a replica each.
func TestTopologyCluster(t *testing.T) {
	t.Parallel()
	n := newCluster(t, "1000")
	absent, mute := dead(t), silent(t)
	f := newFleet(t, n, 3, onAnyMachine, func(c *setup) {
		switch c.Name { // R8: they find the cluster all the same
		case "instance-1":
			c.Addresses = append([]string{absent}, c.Addresses...)
		case "instance-2":
			c.Addresses = append([]string{mute}, c.Addresses...)
		}
	})
	first := n.logMaster(t, f.prefix)
	f.play(func() {})
	f.holds()
	if n.logMaster(t, f.prefix) == first { // a machine may be too busy for a cluster
		assert.Zero(t, f.unheard, "who has heard twice since nil refuses")
	}

	t.Log("the log's master hangs, and comes back when another has its place")
	f.play(func() {
		first.Pause(t)
		defer first.Continue(t)
		n.logMaster(t, f.prefix, first)
	})
	f.holds()
	eventually(t, func() bool { return !isMaster(t, first) && follows(t, first) }, "it does not follow the new one")

	t.Log("the log's master is killed")
	second := n.logMaster(t, f.prefix)
	f.play(func() {
		second.Stop(t)
		n.logMaster(t, f.prefix, second)
	})
	f.holds()
}

// TestTopologySentinel: R3, R5, R8 and R9 with a master, two replicas and three sentinels.
func TestTopologySentinel(t *testing.T) {
	t.Parallel()
	n := newSentinels(t)
	absent, mute := dead(t), silent(t)
	f := newFleet(t, n, 3, onAnyMachine, func(c *setup) {
		if c.Name != "instance-0" {
			c.Addresses = append([]string{mute, absent}, c.Addresses...)
		}
	})
	first := n.logMaster(t, f.prefix)
	f.play(func() {})
	f.holds()
	if n.logMaster(t, f.prefix) == first {
		assert.Zero(t, f.unheard, "who has heard twice since nil refuses")
	}

	t.Log("each instance's sentinel falls silent, and then the master is killed")
	muted := make(map[string][]string) // each keeps one that speaks
	for _, it := range n.now() {
		if it.kind == app && slices.Contains(n.setup.Addresses, it.to) && len(muted[it.from]) < len(n.sentinels)-1 {
			muted[it.from] = append(muted[it.from], it.to)
		}
	}
	n.set(func(it wire) bool { return it.kind == app && slices.Contains(muted[it.from], it.to) })
	f.play(func() {
		first.Stop(t)
		n.logMaster(t, f.prefix, first)
	})
	f.holds()
	n.set(nil)

	t.Log("the master hangs, and comes back when another has its place")
	second := n.logMaster(t, f.prefix, first)
	f.play(func() {
		second.Pause(t)
		defer second.Continue(t)
		n.logMaster(t, f.prefix, first, second)
	})
	f.holds()
}
