package redisstore_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
)

// topology is several servers, and the wires between them.
type topology struct {
	*wires

	servers   []*redistest.Server
	announced map[*redistest.Server]string
	sentinels []*redistest.Server
	setup     setup // of an instance
}

// start starts a server that announces the address of a proxy, and takes its arguments
// from it.
func (n *topology) start(t *testing.T, args func(announced, port string) []string) *redistest.Server {
	t.Helper()
	addr := n.proxy(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	s := redistest.New(t, args(addr, port)...)
	n.mu.Lock()
	n.actual[addr] = s.Addr
	n.mu.Unlock()
	n.servers, n.announced[s] = append(n.servers, s), addr
	return s
}

func newTopology(t *testing.T) *topology {
	t.Helper()
	n := &topology{wires: newWires(t), announced: make(map[*redistest.Server]string)}
	n.setup.Gate = n.gate
	return n
}

// newSingle starts one server.
func newSingle(t *testing.T) *topology {
	t.Helper()
	n := newTopology(t)
	s := n.start(t, func(string, string) []string { return nil })
	n.setup.Addresses = []string{n.announced[s]}
	return n
}

// newCluster starts three masters and a replica of each. A node is dead after so many
// milliseconds.
func newCluster(t *testing.T, nodeTimeout string) *topology {
	t.Helper()
	n := newTopology(t)
	var meet [][]string
	for range 6 {
		var at []string
		s := n.start(t, func(announced, port string) []string {
			addr := n.bus(t, announced)
			_, bus, err := net.SplitHostPort(addr)
			require.NoError(t, err)
			at = []string{"CLUSTER", "MEET", "127.0.0.1", port, bus}
			return []string{
				"--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--cluster-announce-ip", "127.0.0.1",
				"--cluster-announce-port", port, "--cluster-announce-bus-port", bus,
			}
		})
		meet = append(meet, at)
		n.setup.Addresses = append(n.setup.Addresses, n.announced[s])
	}
	n.join(t, meet, nodeTimeout)
	n.settled(t)
	return n
}

// join makes a cluster of servers: three masters with a third of the slots each, and a replica
// of each. It does what redis-cli --cluster create does, which waits by the second. Nodes that
// do not answer in time do not meet, so that the time is short afterwards only.
func (n *topology) join(t *testing.T, meet [][]string, nodeTimeout string) {
	t.Helper()
	const slots, masters = 16384, 3
	for i, s := range n.servers {
		c := rawClient(t, s.Addr)
		command(t, c, "CLUSTER", "SET-CONFIG-EPOCH", itoa(i+1))
		if i < masters {
			command(t, c, "CLUSTER", "ADDSLOTSRANGE", itoa(i*slots/masters), itoa((i+1)*slots/masters-1))
		}
	}
	first := rawClient(t, n.servers[0].Addr)
	eventually(t, func() bool { // a node that does not answer in time is forgotten
		known, missing := ask(t, n.servers[0], "CLUSTER", "NODES"), false
		for _, words := range meet[1:] {
			if !strings.Contains(known, ":"+words[3]+"@") {
				missing = true
				command(t, first, words...)
			}
		}
		return !missing && !strings.Contains(known, "handshake")
	}, "the nodes do not meet")
	for i, s := range n.servers[masters:] {
		master, err := command(t, rawClient(t, n.servers[i].Addr), "CLUSTER", "MYID").ToString()
		require.NoError(t, err)
		eventually(t, func() bool { return ask(t, s, "CLUSTER", "REPLICATE", master) == "OK" }, "it does not know its master")
	}
	for _, s := range n.servers {
		command(t, rawClient(t, s.Addr), "CONFIG", "SET", "cluster-node-timeout", nodeTimeout)
	}
}

// ask asks a server, which may be away, or cut the connection: a failover does.
func ask(t *testing.T, s *redistest.Server, words ...string) string {
	t.Helper()
	o := rueidis.ClientOption{InitAddress: []string{s.Addr}, DisableCache: true, ForceSingleClient: true, ConnWriteTimeout: 2 * time.Second}
	c, err := rueidis.NewClient(o)
	if err != nil {
		return ""
	}
	defer c.Close()
	text, err := c.Do(t.Context(), c.B().Arbitrary(words...).Build()).ToString()
	if err != nil { // the text is the error's
		return ""
	}
	return text
}

func isMaster(t *testing.T, s *redistest.Server) bool {
	t.Helper()
	return strings.Contains(ask(t, s, "INFO", "replication"), "role:master")
}

// follows reports whether a replica has its master's data.
func follows(t *testing.T, s *redistest.Server) bool {
	t.Helper()
	info := ask(t, s, "INFO", "replication")
	return strings.Contains(info, "master_link_status:up") && strings.Contains(info, "master_sync_in_progress:0")
}

// settled waits until all nodes of a cluster know each other, and all replicas follow.
func (n *topology) settled(t *testing.T) {
	t.Helper()
	for _, s := range n.servers {
		eventually(t, func() bool {
			nodes := ask(t, s, "CLUSTER", "NODES")
			return strings.Contains(ask(t, s, "CLUSTER", "INFO"), "cluster_state:ok") &&
				strings.Count(nodes, "\n") == len(n.servers) && !strings.Contains(nodes, "fail") &&
				strings.Count(nodes, "slave") == len(n.servers)/2
		}, "the cluster is not up")
		eventually(t, func() bool { return isMaster(t, s) || follows(t, s) }, "a replica does not follow")
	}
}

// running returns the servers that were not ended.
func (n *topology) running(except ...*redistest.Server) (all []*redistest.Server) {
	for _, s := range n.servers {
		ended := false
		for _, other := range except {
			ended = ended || s == other
		}
		if !ended {
			all = append(all, s)
		}
	}
	return all
}

// logMaster returns the server that has the log of an app.
func (n *topology) logMaster(t *testing.T, prefix string, except ...*redistest.Server) *redistest.Server {
	t.Helper()
	var found *redistest.Server
	eventually(t, func() bool {
		for _, s := range n.running(except...) {
			if isMaster(t, s) && ask(t, s, "GET", historyOf(prefix)) != "" {
				found = s
			}
		}
		return found != nil
	}, "no server has the log")
	return found
}

// historyOf is the key beside an app's log.
func historyOf(prefix string) string { return prefix + ":v2:{" + prefix + ":log}:h" }

// newSentinels starts a master, two replicas and three sentinels.
func newSentinels(t *testing.T, more ...string) *topology {
	t.Helper()
	n := newTopology(t)
	var host, port string
	for range 3 {
		s := n.start(t, func(_, own string) []string {
			args := append([]string{"--replica-announce-ip", "127.0.0.1", "--replica-announce-port", own}, more...)
			if host != "" {
				args = append(args, "--replicaof", host+" "+port)
			}
			return args
		})
		if host == "" {
			var err error
			host, port, err = net.SplitHostPort(n.announced[s])
			require.NoError(t, err)
		}
	}
	n.setup.MasterSet = "lab"
	for range 3 {
		s := redistest.NewSentinel(t, "sentinel monitor lab "+host+" "+port+" 2",
			"sentinel down-after-milliseconds lab 1000", "sentinel failover-timeout lab 3000")
		n.sentinels = append(n.sentinels, s)
		n.setup.Addresses = append(n.setup.Addresses, s.Addr)
	}
	for _, s := range n.sentinels {
		eventually(t, func() bool {
			info := ask(t, s, "INFO", "sentinel")
			return strings.Contains(info, "status=ok") && strings.Contains(info, "slaves=2,sentinels=3")
		}, "the sentinels do not know each other")
	}
	for _, s := range n.servers { // a sentinel on a busy machine may have changed the master
		eventually(t, func() bool { return isMaster(t, s) || follows(t, s) }, "a replica does not follow")
	}
	return n
}

// silent is an address where somebody accepts connections, and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l.Addr().String() // the system accepts
}

// dead is an address where nobody is.
func dead(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}
