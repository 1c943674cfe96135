package echomfa_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/storetest"
)

// setting is what stays the same in a history.
type setting struct {
	rules   echomfa.CacheConfig
	timeout time.Duration
	nodes   int
	shared  bool // by a Store
	names   *modelNames
}

func (s setting) evicts() bool { return s.rules.Size < len(modelUsers) }

// String tells the setting in a line.
func (s setting) String() string {
	r := s.rules
	return fmt.Sprintf("%d instances, Store: %v, FreshFor %v, DenyFreshFor %v, StaleIfError %v, RefusedFor %v, Size %d, lives %v",
		s.nodes, s.shared, r.FreshFor, r.DenyFreshFor, r.StaleIfError, r.RefusedFor, r.Size, s.names.life)
}

// modelNames are the tokens of a history, and how a Store names them.
type modelNames struct {
	tokens            [len(modelUsers)]string
	life              [len(modelUsers)]time.Duration
	tokenKey, userKey [len(modelUsers)]echomfa.StoreKey
	token             map[echomfa.StoreKey]int
}

// newModelNames makes the tokens of a history that begins now, as every bubble of
// synctest does at the same time. An Enforcer tells how the Store is to name them.
func newModelNames(life time.Duration) (*modelNames, error) {
	n := &modelNames{token: make(map[echomfa.StoreKey]int)}
	for i, user := range modelUsers {
		n.life[i] = time.Hour
		if user == "bob" {
			n.life[i] = life
		}
		n.tokens[i] = "opaque-token"
		if user != "" {
			part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
			n.tokens[i] = part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"sub":%q,"aud":"app","jti":"%d","exp":%d}`, user, i, time.Now().Add(n.life[i]).Unix())) + "."
		}
		asked := &keyRecorder{Memory: storetest.NewMemory()}
		e, err := echomfa.New(echomfa.Config{
			Client:    echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) { return nil, errModel }),
			Namespace: "model", Audience: []string{"app"}, Cache: echomfa.CacheConfig{Store: asked},
		})
		if err != nil {
			return nil, err
		}
		_, _ = e.Decide(context.Background(), n.tokens[i], modelPolicies[0].policy)
		_ = e.Close()
		n.tokenKey[i], n.userKey[i] = asked.key, asked.user
		n.token[asked.key] = i
	}
	return n, nil
}

// keyRecorder is a Store that remembers under which names it was asked last.
type keyRecorder struct {
	*storetest.Memory
	key, user echomfa.StoreKey
}

// Get remembers the names.
func (k *keyRecorder) Get(_ context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
	k.key, k.user = key, user
	return echomfa.StoredFacts{}, false, "", errModel
}

// move is one step of a history.
type move struct {
	at     time.Duration
	what   string
	node   int
	token  int
	choice int // of a policy, or of enrolled types
	fault  string
	delay  time.Duration
	late   bool
}

var modelPolicies = [...]struct { //nolint:gochecknoglobals // a table
	name   string
	policy echomfa.Policy
}{
	{"OTP", echomfa.AnyOf(echomfa.OTP)},
	{"SMS", echomfa.AnyOf(echomfa.SMS)},
	{"OTP and SMS", echomfa.AllOf(echomfa.OTP, echomfa.SMS)},
}

var modelTypes = [...][]echomfa.FactorType{nil, {echomfa.OTP}, {echomfa.SMS}, {echomfa.OTP, echomfa.SMS}} //nolint:gochecknoglobals // a table

// String tells the step in a line.
func (m move) String() string {
	at, node := fmt.Sprintf("%12v  ", m.at), string(rune('A'+m.node))
	token := fmt.Sprintf("token %d (%s)", m.token, modelUsers[m.token])
	state := fmt.Sprintf("%q, answers after %v", m.fault, m.delay)
	switch m.what {
	case "request":
		return at + node + ": request of " + token + " for " + modelPolicies[m.choice].name
	case "enroll":
		return at + token + ": has " + fmt.Sprint(modelTypes[m.choice])
	case "revoke", "restore":
		return at + token + ": GenAuth does " + m.what + " it"
	case "Invalidate":
		return at + node + ": Invalidate " + token
	case "InvalidateUser":
		return at + node + ": InvalidateUser " + modelUsers[m.token]
	case "GenAuth":
		return at + "GenAuth: " + state + fmt.Sprintf(", looks late: %v", m.late)
	case "Store":
		return at + node + ": Store: " + state
	case "clock", "hear after":
		return at + node + ": " + m.what + " " + m.delay.String()
	default:
		return at + node + ": " + m.what
	}
}

// history makes the history of a seed.
func history(seed uint64, names []*modelNames) (setting, []move) {
	r := rand.New(rand.NewPCG(seed, 0))
	between := func(from, to time.Duration) time.Duration { return from + time.Duration(r.Int64N(int64(to-from))) }
	s := setting{nodes: 1 + r.IntN(3), timeout: 2 * time.Second, names: names[r.IntN(len(names))]}
	s.shared = s.nodes > 1 && r.IntN(8) > 0 || r.IntN(3) == 0
	s.rules = echomfa.CacheConfig{
		Size: 64, RefusedSize: 64,
		FreshFor: between(2*time.Second, 15*time.Second), DenyFreshFor: between(time.Second/2, 2*time.Second),
		RefusedFor: between(time.Second, 5*time.Second),
	}
	if r.IntN(2) == 0 {
		s.rules.StaleIfError = s.rules.FreshFor + between(time.Second, 20*time.Second)
	}
	if r.IntN(8) == 0 {
		s.rules.Size, s.rules.RefusedSize = 1+r.IntN(2), 1
	}
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	var list []move
	at := time.Duration(0)
	for token := range modelUsers {
		list = append(list, move{what: "enroll", token: token, choice: r.IntN(len(modelTypes))})
	}
	main := r.IntN(len(modelUsers)) // most of it is about one token
	for range 12 + r.IntN(28) {
		switch n := r.IntN(20); {
		case n < 9:
			at += between(1, 50*time.Millisecond)
		case n < 15:
			at += between(50*time.Millisecond, 700*time.Millisecond)
		case n < 19:
			at += between(700*time.Millisecond, 3*time.Second)
		default:
			at += between(3*time.Second, 8*time.Second)
		}
		m := move{at: at, node: r.IntN(s.nodes), token: main}
		if r.IntN(4) == 0 {
			m.token = r.IntN(len(modelUsers))
		}
		switch n := r.IntN(100); {
		case n < 50:
			m.what, m.choice = "request", r.IntN(len(modelPolicies))
		case n < 58:
			m.what, m.choice = "enroll", r.IntN(len(modelTypes))
		case n < 63:
			m.what = pick("revoke", "restore")
		case n < 69:
			m.what = "Invalidate"
		case n < 73:
			m.what = "InvalidateUser"
		case n < 84:
			m.what, m.late = "GenAuth", r.IntN(2) == 0
			m.fault = pick("", "", "", "", "leaves out", "refuses", "is asked wrongly", "has a limit", "is overloaded", "talks nonsense", "panics", "is away", "has no connection", "has no connection")
			if r.IntN(2) == 0 {
				m.delay = between(1, 1900*time.Millisecond)
			}
		case n < 92:
			m.what = "Store"
			m.fault = pick("", "", "", "loses calls", "loses answers", "hangs", "panics", "is full", "is full", "mixes up", "is ahead", "is long ago")
			if r.IntN(2) == 0 {
				m.delay = between(1, 90*time.Millisecond)
			}
			if m.fault == "" && r.IntN(4) == 0 {
				m.delay = between(100*time.Millisecond, time.Second)
			}
		case n < 94:
			m.what, m.delay = "clock", between(-time.Second, time.Second)
		case n < 96:
			m.what, m.delay = "hear after", between(0, 300*time.Millisecond)
		case n < 99:
			m.what = pick("lost", "heard again", "heard again", "Watch ends", "Store is noted", "Store is noted", "Store is set back", "Store is lost")
		default:
			m.what = pick("request", "request", "close")
		}
		list = append(list, m)
		if strings.HasPrefix(m.what, "Invalidate") && r.IntN(2) == 0 {
			at += between(1, 100*time.Millisecond)
			m.at, m.what, m.choice = at, "request", r.IntN(len(modelPolicies))
			list = append(list, m)
		}
	}
	return s, append(list, epilogue(s, at)...)
}

// epilogue is the end of every history: all is well again, and nobody who may go on
// meets a 503 for good.
func epilogue(s setting, at time.Duration) []move {
	at += 5*time.Second + 1
	list := []move{{at: at, what: "GenAuth"}}
	for n := range s.nodes {
		list = append(list, move{at: at, what: "Store", node: n}, move{at: at, what: "heard again", node: n})
	}
	for _, nodes := range []int{s.nodes, 1} {
		for n := range nodes {
			for token := range modelUsers {
				at += time.Second + 1
				list = append(list, move{at: at, what: "request", node: n, token: token, choice: token % 2})
			}
		}
		at += s.rules.FreshFor
	}
	return list
}
