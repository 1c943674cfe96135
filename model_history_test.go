package echomfa_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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
			m.fault = pick("", "", "", "", "leaves out", "refuses", "is asked wrongly", "has a limit", "is overloaded", "talks nonsense", "panics", "is away")
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
			m.what = pick("lost", "heard again", "heard again", "Watch ends")
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

// play plays a history in a bubble of its own, and returns what is wrong with it
// and which known deviations were met.
func play(t *testing.T, s setting, list []move) (problems []string, known map[string]int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, err := newWorld(s)
		require.NoError(t, err)
		synctest.Wait()
		var wg sync.WaitGroup
		for _, m := range list {
			if wait := m.at - w.now(); wait > 0 {
				_ = modelSleep(context.Background(), wait)
			}
			w.do(&wg, m)
			synctest.Wait()
		}
		wg.Wait()
		for _, n := range w.nodes {
			_ = n.enforcer.Close()
		}
		problems, known = w.problems, w.known
	})
	return problems, known
}

// do makes one step.
func (w *world) do(wg *sync.WaitGroup, m move) {
	n := w.nodes[m.node%len(w.nodes)]
	switch m.what {
	case "request":
		wg.Go(func() { n.request(m.token, modelPolicies[m.choice].policy) })
		return
	case "Invalidate", "InvalidateUser":
		wg.Go(func() { n.invalidate(m.token, m.what == "InvalidateUser") })
		return
	case "lost", "heard again":
		if w.memory != nil && n.closed.IsZero() {
			n.listen(m.what != "lost")
		}
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch m.what {
	case "enroll":
		for k, user := range modelUsers {
			if user == modelUsers[m.token] {
				w.enrolled[k] = echomfa.Factors(modelTypes[m.choice]...)
			}
		}
	case "revoke", "restore":
		w.revoked[m.token] = m.what == "revoke"
	case "GenAuth":
		w.trouble = genauthState{m.fault, m.delay, m.late}
	case "Store":
		n.store = storeState{m.fault, m.delay}
	case "clock":
		n.clock = m.delay
	case "hear after":
		n.hearAfter = m.delay
	case "Watch ends":
		if w.memory != nil && n.closed.IsZero() && len(n.broken) == 0 {
			n.broken <- struct{}{}
		}
	case "close":
		if n.closed.IsZero() {
			n.closed = time.Now()
			wg.Go(func() { _ = n.enforcer.Close() })
		}
	}
}

// request makes a request, and compares its answer with those that the model
// permits.
func (n *node) request(token int, p echomfa.Policy) {
	n.mu.Lock()
	q := &query{policy: p, arrived: time.Now()}
	n.waiting[token][q] = struct{}{}
	force, forced := n.view(token).forced(p, q.arrived)
	n.mu.Unlock()

	d, err := n.enforcer.Decide(context.Background(), n.tokens[token], p)

	n.mu.Lock()
	defer n.mu.Unlock()
	q.answered = time.Now()
	delete(n.waiting[token], q)
	object := func(format string, args ...any) {
		n.problem("%s, token %d, for %v, waited %v: %v by %v of %v, %v old"+format, append([]any{
			n.name, token, p, q.answered.Sub(q.arrived), d.Outcome, d.Enrolled, d.Source, d.Age,
		}, args...)...)
	}
	switch {
	case (err == nil) != (d.Outcome == echomfa.Allowed):
		object(", with the error %v", err)
	case q.answered.Sub(q.arrived) > n.setting.timeout:
		object(", which is too long")
	case forced && (d.Outcome != force || !q.answered.Equal(q.arrived) || d.Source > echomfa.Cached):
		object(", but what is known forces: %v, at once", force)
	default:
		n.judge(object, token, q, &d)
	}
}

// judge asks the model, and whether it is a known deviation if the model objects.
func (n *node) judge(object func(string, ...any), token int, q *query, d *echomfa.Decision) {
	v := n.view(token)
	strict := v.permitted(*q)
	if permits(strict, q, d) {
		return
	}
	for i := range modelKnown {
		v := n.view(token)
		modelKnown[i].permit(v)
		if permits(v.permitted(*q), q, d) {
			n.known[modelKnown[i].id]++
			return
		}
	}
	for i := range modelKnown {
		modelKnown[i].permit(v)
	}
	if permits(v.permitted(*q), q, d) {
		n.known["several"]++
		return
	}
	var expected []string
	for _, a := range strict {
		expected = append(expected, a.String(q))
	}
	object("; permitted: [%s]", strings.Join(expected, ", "))
}

func permits(list []answer, q *query, d *echomfa.Decision) bool {
	return slices.ContainsFunc(list, func(a answer) bool {
		withFacts := d.Outcome == echomfa.Allowed || d.Outcome == echomfa.NotEnrolled
		return a.outcome == d.Outcome &&
			(!withFacts || a.word.types.Equal(d.Enrolled) && max(0, q.answered.Sub(a.word.seems)) == d.Age)
	})
}

// String tells an answer in a few words.
func (a answer) String(q *query) string {
	if a.word == nil {
		return a.outcome.String()
	}
	return fmt.Sprintf("%v by %v, %v old", a.outcome, a.word.types, q.answered.Sub(a.word.seems))
}

// invalidate invalidates a token or its user.
func (n *node) invalidate(token int, user bool) {
	name := n.setting.names.tokenKey[token]
	if user {
		if modelUsers[token] == "" {
			return
		}
		name = n.setting.names.userKey[token]
	}
	n.mu.Lock()
	begun := time.Now()
	c := &cut{from: begun, done: begun.Add(24 * time.Hour), byToken: !user, here: true}
	for k := range modelUsers {
		if k == token || user && modelUsers[k] == modelUsers[token] {
			n.cuts[k] = append(n.cuts[k], c)
		}
	}
	n.tells[name] = begun
	n.mu.Unlock()

	var err error
	if user {
		err = n.enforcer.InvalidateUser(context.Background(), modelUsers[token])
	} else {
		err = n.enforcer.Invalidate(context.Background(), n.tokens[token])
	}

	n.mu.Lock()
	defer n.mu.Unlock()
	c.done = time.Now()
	delete(n.tells, name)
	switch {
	case n.memory == nil && err != nil && !(user && errors.Is(err, echomfa.ErrUserNotIndexed)):
		n.problem("%s: Invalidate: %v", n.name, err)
	case n.memory != nil && err == nil && n.told[name].Before(begun):
		n.problem("%s: Invalidate returned nil and has told nobody", n.name)
	case c.done.Sub(begun) > time.Second:
		n.problem("%s: Invalidate took %v", n.name, c.done.Sub(begun))
	}
}

// modelHistories is how many histories TestModel plays.
func modelHistories(t *testing.T) uint64 {
	t.Helper()
	text, ok := os.LookupEnv("MODEL")
	if !ok {
		return 10_000
	}
	n, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, "MODEL")
	return n
}

// TestModel plays random histories over one to three instances, with and without a
// Store, in virtual time, and compares every answer with what the README permits.
// MODEL is how many, 10,000 if it is not set, and MODEL_SEED the first. A failure
// names the seed: play it alone by MODEL=1 MODEL_SEED=n.
func TestModel(t *testing.T) {
	t.Parallel()
	names := allModelNames(t)
	first, _ := strconv.ParseUint(os.Getenv("MODEL_SEED"), 10, 64)
	count, workers := modelHistories(t), uint64(2*runtime.GOMAXPROCS(0))
	for worker := range workers {
		t.Run(strconv.FormatUint(worker, 10), func(t *testing.T) {
			t.Parallel()
			total := make(map[string]int)
			for seed := first + worker; seed < first+count; seed += workers {
				s, list := history(seed, names)
				problems, known := play(t, s, list)
				for id, n := range known {
					total[id] += n
				}
				if len(problems) > 0 {
					if os.Getenv("MODEL_BRIEF") == "" {
						list, problems = shrink(t, s, list, problems)
					}
					t.Fatalf("seed %d: %v\n%s\n%s", seed, s, tell(list), strings.Join(problems, "\n"))
				}
			}
			t.Log("known deviations:", total)
		})
	}
}

// allModelNames makes the tokens: some end soon.
func allModelNames(t *testing.T) []*modelNames {
	t.Helper()
	var list []*modelNames
	synctest.Test(t, func(t *testing.T) {
		for _, life := range []time.Duration{5 * time.Second, 12 * time.Second, 30 * time.Second, time.Hour} {
			n, err := newModelNames(life)
			require.NoError(t, err)
			list = append(list, n)
		}
	})
	return list
}

// tell tells the steps of a history, one in a line.
func tell(list []move) string {
	var b strings.Builder
	for _, m := range list {
		b.WriteString(m.String() + "\n")
	}
	return b.String()
}

// shrink leaves out what a failing history does not need to fail. FreshFor differs
// by a tenth from run to run: what fails only at times stays.
func shrink(t *testing.T, s setting, list []move, problems []string) ([]move, []string) {
	t.Helper()
	for size := len(list) / 2; size > 0; size /= 2 {
		for from := 0; from+size <= len(list); {
			shorter := slices.Delete(slices.Clone(list), from, from+size)
			if found, _ := play(t, s, shorter); len(found) > 0 {
				list, problems = shorter, found
			} else {
				from += size
			}
		}
	}
	return list, problems
}
