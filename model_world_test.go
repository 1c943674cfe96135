package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/storetest"
)

// modelUsers are the users of a history, by token. The last token is opaque and
// names nobody.
var modelUsers = [...]string{"alice", "alice", "bob", ""} //nolint:gochecknoglobals // a table

// world is what a history happens in: GenAuth, a Store, and the instances, in
// virtual time. It writes down what each instance hears.
type world struct {
	setting setting
	begun   time.Time
	tokens  [len(modelUsers)]string
	memory  *storetest.Memory // or nil
	nodes   []*node
	known   map[string]int // how often each known deviation was met

	mu       sync.Mutex
	enrolled [len(modelUsers)]echomfa.FactorSet
	revoked  [len(modelUsers)]bool
	trouble  genauthState
	kept     map[echomfa.StoreKey]map[time.Time]time.Time // of the Store: when GenAuth was asked, by what it was told
	newest   map[echomfa.StoreKey]time.Time               // of the Store
	problems []string
}

// genauthState is how GenAuth does.
type genauthState struct {
	fault string
	delay time.Duration
	late  bool // it looks only just before it answers
}

// storeState is how the Store does for one instance.
type storeState struct {
	fault string
	delay time.Duration
}

// node is an instance.
type node struct {
	*world
	name     string
	enforcer *echomfa.Enforcer

	asks    []*word
	asking  [len(modelUsers)][]*word // what it waits for
	words   [len(modelUsers)][]*word
	cuts    [len(modelUsers)][]*cut
	waiting [len(modelUsers)]map[*query]struct{}
	closed  time.Time
	doubted time.Time     // when it last could not tell the Store
	clock   time.Duration // by how much its clock is ahead
	store   storeState
	tells   map[echomfa.StoreKey]time.Time // what it is invalidating, and since when
	told    map[echomfa.StoreKey]time.Time // when the Store has last forgotten for it

	hears     bool
	events    chan heard
	hearAfter time.Duration
	broken    chan struct{} // ends the Watch
}

// heard is an event on its way to an instance.
type heard struct {
	echomfa.StoreEvent
	from time.Time
}

func newWorld(s setting) (*world, error) {
	w := &world{
		setting: s, begun: time.Now(),
		kept:   make(map[echomfa.StoreKey]map[time.Time]time.Time),
		newest: make(map[echomfa.StoreKey]time.Time),
		known:  make(map[string]int),
	}
	if s.shared {
		w.memory = storetest.NewMemory()
	}
	w.tokens = s.names.tokens
	for i := range s.nodes {
		n := &node{
			world: w, name: string(rune('A' + i)), broken: make(chan struct{}, 1), events: make(chan heard, 100),
			tells: make(map[echomfa.StoreKey]time.Time), told: make(map[echomfa.StoreKey]time.Time),
		}
		for k := range n.waiting {
			n.waiting[k] = make(map[*query]struct{})
		}
		cfg := echomfa.Config{
			Client: echomfa.FactorListerFunc(n.list), Namespace: "model", Audience: []string{"app"},
			Cache: s.rules, Lookup: echomfa.LookupConfig{Timeout: s.timeout},
		}
		if s.shared {
			cfg.Cache.Store = (*nodeStore)(n)
		}
		var err error
		if n.enforcer, err = echomfa.New(cfg); err != nil {
			return nil, err
		}
		w.nodes = append(w.nodes, n)
	}
	return w, nil
}

// expires returns when a token ends.
func (w *world) expires(token int) time.Time { return w.begun.Add(w.setting.names.life[token]) }

func (w *world) problem(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf("at %v: ", w.now())+fmt.Sprintf(format, args...))
}

func (w *world) now() time.Duration { return time.Since(w.begun) }

// view returns what the model knows of an instance and a token.
func (n *node) view(token int) *view {
	s := n.setting
	return &view{
		token: token, rules: s.rules, timeout: s.timeout, words: n.words[token], asks: n.asks, shared: s.shared, asking: slices.ContainsFunc(n.asking[:], func(under []*word) bool { return len(under) > 0 }), cuts: n.cuts[token],
		expires: n.expires(token), closed: n.closed, doubted: n.doubted, evicts: s.evicts(),
	}
}

// list is GenAuth, as an instance asks it.
func (n *node) list(ctx context.Context, token string) ([]client.Factor, error) {
	k := slices.Index(n.tokens[:], token)
	n.mu.Lock()
	now := time.Now()
	w := &word{token: k, begun: now, asked: now, seems: now}
	for q := range n.waiting[k] { // it may have waited for its turn since
		if q.arrived.Before(w.begun) {
			w.begun = q.arrived
		}
	}
	n.justify(k, w)
	n.asking[k] = append(n.asking[k], w)
	state, revoked, enrolled := n.trouble, n.revoked[k], n.enrolled[k]
	n.mu.Unlock()

	ended := modelSleep(ctx, state.delay)

	n.mu.Lock()
	defer n.mu.Unlock()
	if state.late {
		revoked, enrolled = n.revoked[k], n.enrolled[k]
	}
	fault := state.fault
	if ended != nil {
		fault = "is cut off"
	} else if fault == "" && revoked {
		fault = "refuses"
	}
	var err error
	w.heard, w.types = time.Now(), enrolled
	w.verdict, w.pause, err = modelFault(fault)
	n.asking[k] = slices.DeleteFunc(n.asking[k], func(u *word) bool { return u == w })
	n.asks, n.words[k] = append(n.asks, w), append(n.words[k], w)
	if w.verdict == panicking {
		panic("model")
	}
	if w.verdict > partly {
		return nil, err
	}
	var list []client.Factor
	for _, t := range enrolled.Types() {
		list = append(list, client.Factor{Type: t})
	}
	return list, err
}

// justify objects to a call that nobody needs, or whose answer is on its way. n.mu is
// held.
func (n *node) justify(k int, w *word) {
	for _, u := range n.asking[k] {
		cut := slices.ContainsFunc(n.cuts[k], func(c *cut) bool { return !c.done.Before(u.begun) })
		if over := !w.asked.Before(u.begun.Add(n.setting.timeout)); !cut && !over {
			n.problem("%s asks GenAuth about token %d, which it does already", n.name, k)
		}
	}
	for _, other := range slices.Backward(n.words[k]) {
		if !other.stored && other.verdict >= down && w.asked.Sub(other.heard) <= 100*time.Millisecond {
			w.begun = other.begun // a second try
			return
		}
	}
	for q := range n.waiting[k] {
		if _, ok := n.view(k).forced(q.policy, w.asked); !ok {
			return
		}
	}
	n.problem("%s asks GenAuth about token %d, and nobody needs it", n.name, k)
}

var errModel = errors.New("model")

// modelFault returns what a fault of GenAuth is to the model and to the Enforcer.
func modelFault(fault string) (verdict, time.Duration, error) {
	switch fault {
	case "":
		return told, 0, nil
	case "leaves out":
		return partly, 0, &client.PartialError{Skipped: 1}
	case "refuses":
		return refused, 0, client.ErrUnauthenticated
	case "is asked wrongly":
		return wrong, 0, client.ErrMisconfigured
	case "has a limit":
		return limited, 3 * time.Second, &client.APIError{HTTPStatus: 429, StatusCode: 429, RetryAfter: 3 * time.Second}
	case "is overloaded":
		return down, 0, &client.APIError{HTTPStatus: 503}
	case "talks nonsense":
		return down, 0, client.ErrMalformed
	case "has no connection":
		return lost, 0, &client.TransportError{Op: "list", Err: &net.OpError{Op: "dial", Err: errModel}}
	case "panics":
		return panicking, 0, nil
	case "is cut off":
		return down, 0, context.DeadlineExceeded
	default:
		return down, 0, errModel
	}
}

// modelSleep lets virtual time pass, unless ctx ends before.
func modelSleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
