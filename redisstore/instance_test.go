package redisstore_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}

// instanceEnv holds the setup of an instance: this program runs as one if it is set.
const instanceEnv = "ECHOMFA_TEST_INSTANCE"

// setup is what an instance has to know.
type setup struct {
	Name, Gate, MasterSet, Prefix string
	Addresses                     []string
	FreshFor                      time.Duration
	DialFor, AnswerFor            time.Duration // defaults if zero
	OnlyWhileHeard                bool
	Misses                        bool // what it hears first
}

// order is what an instance is told to do, and answer the result.
type order struct {
	ID       int
	Do       string // "look", "decide", "invalidate", "enroll" or "remove"
	Token    string
	Deadline time.Duration
}

type answer struct {
	ID      int
	Allowed bool
	Refused bool
	Err     string
	// Heard is how many rounds of listening had succeeded before.
	Heard uint64
	// Stats, and how many of its own invalidations are not acknowledged, are asked for by
	// "look".
	Stats  string
	Unsent int
	// Out says that it did not hear before or after: its last round has failed, or ended over
	// a second ago.
	Out bool
}

// spy counts what a Store says.
type spy struct {
	*redisstore.Store

	misses bool // the first one, however often it is told
	missed echomfa.StoreKey
	rounds atomic.Uint64
	last   atomic.Int64 // Unix nanoseconds; 0 if the last round has failed
}

func (s *spy) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	return s.Store.Watch(ctx, func(event echomfa.StoreEvent) {
		if s.misses && event.Kind == echomfa.Invalidated {
			if s.missed == (echomfa.StoreKey{}) {
				s.missed = event.Key
			}
			if s.missed == event.Key {
				return
			}
		}
		hear(event)
		switch event.Kind {
		case echomfa.Hearing:
			s.rounds.Add(1)
			s.last.Store(time.Now().UnixNano())
		case echomfa.Deaf:
			s.last.Store(0)
		case echomfa.Invalidated, echomfa.Rewound, echomfa.Resumed, echomfa.Unreadable:
		}
	})
}

func (s *spy) out() bool { return time.Now().UnixNano()-s.last.Load() > int64(time.Second) }

// runInstance is an instance of an app in a process of its own. It ends when its standard
// input does.
func runInstance(raw string) int {
	var c setup
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		panic(err)
	}
	option := rueidis.ClientOption{
		InitAddress: c.Addresses,
		DialCtxFn: func(ctx context.Context, to string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return dial(ctx, c.Gate, c.Name, to, d.Timeout)
		},
	}
	option.Sentinel.MasterSet = c.MasterSet
	option.Dialer.Timeout, option.ConnWriteTimeout = c.DialFor, c.AnswerFor
	store, err := redisstore.New(redisstore.Config{Redis: option, Prefix: c.Prefix, Secrets: [][]byte{secretOf(1)}})
	if err != nil {
		panic(err)
	}
	s := &spy{Store: store, misses: c.Misses}
	var enrolled sync.Map
	e, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(func(_ context.Context, token string) ([]client.Factor, error) {
			if _, yes := enrolled.Load(token); yes {
				return []client.Factor{{Type: echomfa.OTP}}, nil
			}
			return nil, nil
		}),
		Namespace: "lab", InsecureAnyAudience: true,
		Cache:  echomfa.CacheConfig{Store: s, FreshFor: c.FreshFor, OnlyWhileHeard: c.OnlyWhileHeard},
		Lookup: echomfa.LookupConfig{MaxPerSecond: 1e6},
	})
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	for in := json.NewDecoder(bufio.NewReader(os.Stdin)); ; {
		var o order
		if err := in.Decode(&o); err != nil {
			break
		}
		go func() {
			a := answer{ID: o.ID, Heard: s.rounds.Load(), Out: s.out()}
			ctx, cancel := context.WithTimeout(context.Background(), o.Deadline)
			defer cancel()
			var err error
			switch o.Do {
			case "decide":
				var d echomfa.Decision
				d, err = e.Decide(ctx, o.Token, echomfa.AnyOf(echomfa.OTP))
				a.Allowed, a.Refused = d.Outcome == echomfa.Allowed, d.Outcome == echomfa.NotEnrolled
			case "look":
				a.Unsent = e.Stats().Store.Unsent
				a.Stats = fmt.Sprintf("%+v %+v", e.Stats().Store, store.Stats())
			case "invalidate":
				err = e.Invalidate(ctx, o.Token)
			case "enroll":
				enrolled.Store(o.Token, true)
			case "remove":
				enrolled.Delete(o.Token)
			}
			if err != nil {
				a.Err = err.Error()
			}
			a.Out = a.Out || s.out()
			mu.Lock()
			defer mu.Unlock()
			_ = out.Encode(a)
		}()
	}
	_ = e.Close() // says so if calls to a Redis that hangs do not end
	if err := store.Close(); err != nil {
		return 1
	}
	return 0
}

// instance is such a process.
type instance struct {
	name string
	cmd  *exec.Cmd
	in   io.WriteCloser
	gone chan struct{} // closed when it has ended

	mu      sync.Mutex
	next    int
	waiting map[int]chan<- answer
	out     time.Time // when it was last seen not to hear
	killed  bool
}

// startInstance starts one, and ends it with the test.
func startInstance(t *testing.T, c setup) *instance {
	t.Helper()
	raw, err := json.Marshal(c)
	require.NoError(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), instanceEnv+"="+string(raw))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	i := &instance{name: c.Name, cmd: cmd, in: in, gone: make(chan struct{}), waiting: make(map[int]chan<- answer)}
	go func() {
		defer close(i.gone)
		for all := json.NewDecoder(out); ; {
			var a answer
			if err := all.Decode(&a); err != nil {
				return
			}
			i.mu.Lock()
			if a.Out {
				i.out = time.Now()
			}
			i.waiting[a.ID] <- a
			delete(i.waiting, a.ID)
			i.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-i.gone
		err := cmd.Wait()
		if i.mu.Lock(); !i.killed {
			assert.NoError(t, err, "it ends cleanly")
		}
		i.mu.Unlock()
	})
	return i
}

// do has an instance do something, and reports whether it has answered.
func (i *instance) do(what, token string) (answer, bool) {
	reply := make(chan answer, 1)
	i.mu.Lock()
	i.next++
	i.waiting[i.next] = reply
	raw, _ := json.Marshal(order{ID: i.next, Do: what, Token: token, Deadline: 5 * time.Second}) //nolint:errchkjson // of strings and numbers
	_, err := i.in.Write(append(raw, '\n'))
	i.mu.Unlock()
	if err != nil {
		return answer{}, false
	}
	select {
	case a := <-reply:
		return a, true
	case <-i.gone:
		return answer{}, false
	}
}

// ended reports whether the process has ended.
func (i *instance) ended() bool {
	select {
	case <-i.gone:
		return true
	default:
		return false
	}
}

// outSince returns when it was last seen not to hear.
func (i *instance) outSince() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.out
}
