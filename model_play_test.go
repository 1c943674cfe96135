package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
)

// play plays a history in a bubble of its own, and returns what is wrong with it.
func play(t *testing.T, s setting, list []move) (problems []string) {
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
		problems = w.problems
	})
	return problems
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
	case "Store is noted":
		if w.memory != nil {
			w.back = w.memory.Back()
		}
	case "Store is set back", "Store is lost":
		if m.what == "Store is lost" {
			w.back = nil
		}
		if w.memory != nil {
			w.rewind(w.back)
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

// judge asks the model.
func (n *node) judge(object func(string, ...any), token int, q *query, d *echomfa.Decision) {
	list := n.view(token).permitted(*q)
	if permits(list, q, d) {
		return
	}
	var expected []string
	for _, a := range list {
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
	c := &cut{from: begun, done: begun.Add(24 * time.Hour), here: true}
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
	case n.memory == nil && err != nil && (!user || !errors.Is(err, echomfa.ErrUserNotIndexed)):
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
// Store, in virtual time, and compares every answer with what docs/freshness.md permits.
// MODEL is how many, 10,000 if it is not set, and MODEL_SEED the first. A failure
// names the seed: play it alone by MODEL=1 MODEL_SEED=n.
func TestModel(t *testing.T) {
	t.Parallel()
	names := allModelNames(t)
	for _, row := range modelMended {
		problems := play(t, knownSetting(3, names), row.moves)
		require.Empty(t, problems, "history of %q:\n%s", row.what, tell(row.moves))
	}
	first, _ := strconv.ParseUint(os.Getenv("MODEL_SEED"), 10, 64)
	count, workers := modelHistories(t), uint64(2*runtime.GOMAXPROCS(0))
	var failed atomic.Bool
	for worker := range workers {
		t.Run(strconv.FormatUint(worker, 10), func(t *testing.T) {
			t.Parallel()
			for seed := first + worker; seed < first+count && !failed.Load(); seed += workers {
				s, list := history(seed, names)
				problems := play(t, s, list)
				if len(problems) > 0 && comesBack(t, s, list) {
					failed.Store(true)
					if os.Getenv("MODEL_BRIEF") == "" {
						list, problems = shrink(t, s, list, problems)
					}
					t.Fatalf("history of seed %d: %v\n%s\n%s", seed, s, tell(list), strings.Join(problems, "\n"))
				}
			}
		})
	}
}

// comesBack reports whether a history fails again. Two names that share a tombstone
// are invalidated together, which costs a lookup that nobody needs: by a chance of
// one in thousands, drawn for each Enforcer.
func comesBack(t *testing.T, s setting, list []move) bool {
	t.Helper()
	for range 3 {
		if problems := play(t, s, list); len(problems) > 0 {
			return true
		}
	}
	return false
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
			if found := play(t, s, shorter); len(found) > 0 {
				list, problems = shorter, found
			} else {
				from += size
			}
		}
	}
	return list, problems
}
