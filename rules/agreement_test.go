package rules_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/cli"
)

// run runs the command line. What it prints is JSON for into.
func run(t *testing.T, into any, args ...string) (code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = cli.Run(t.Context(), append(args, "--json"), cli.IO{Out: &out, Err: &errOut, Now: time.Now, Getenv: os.Getenv})
	if code == 0 || code == 3 && out.Len() > 0 {
		require.NoError(t, json.Unmarshal(out.Bytes(), into), "%s", out.String())
	} else {
		t.Fatalf("%v: %d\n%s%s", args, code, out.String(), errOut.String())
	}
	return code
}

// good returns a random file that has no mistake.
func (g generator) good(t *testing.T) (naiveFile, *rules.File) {
	t.Helper()
	for {
		naive := g.file()
		if f, err := rules.Parse([]byte(naive.text()), "mfa.yaml"); err == nil {
			return naive, f
		}
	}
}

// randomRequest is a request of a user at a time.
type randomRequest struct {
	method, route string
	user          naiveUser
	at            time.Time
}

func (g generator) request() randomRequest {
	return randomRequest{pick(g, methodsOfWorld()), pick(g, routesOfWorld()), pick(g, usersOfWorld()), pick(g, timesOfWorld())}
}

func pick[T any](g generator, from []T) T { return from[g.IntN(len(from))] }

// TestExplainAgrees compares what explain answers, as a function and as a command, with
// rules that are tried one after the other: for 1,000 random files and all subsets of six
// factor types, for a user of whom all is said, and for one whose roles or tenant are not.
// TestBruteForce compares the middleware with the same rules.
func TestExplainAgrees(t *testing.T) {
	t.Parallel()
	g := generator{rand.New(rand.NewPCG(21, 1))}
	sets := subsets()
	path := filepath.Join(t.TempDir(), "mfa.yaml")
	mays, outcomes := 0, make(map[string]int)
	for range randomFiles {
		naive, f := g.good(t)
		for i := range 2 {
			r := g.request()
			for _, route := range routesOfWorld() { // few routes have a rule with a when
				if i == 0 && f.Match(r.method, route).Conditional() {
					r.route = route
				}
			}
			for _, has := range sets {
				set := factorsOf(has)
				q := cli.Question{Method: r.method, Route: r.route, At: r.at, Have: &set, Roles: append([]string{}, r.user.roles...), Tenant: &r.user.tenant}
				x, err := cli.Explain(f, &q)
				require.NoError(t, err)
				want := naive.matching(r.method, r.route).decide(r.user, r.at)
				if last := x.Rules[len(x.Rules)-1]; last.Rule != want.name || last.Result != cli.Hit || slices.ContainsFunc(x.Rules, func(s cli.Step) bool { return s.Result == cli.May }) {
					t.Fatalf("%+v: %+v, not %s\n%s", r, x.Rules, want.name, naive.text())
				}
				if outcome := want.outcome(has); x.Answer.Outcome != outcome {
					t.Fatalf("%+v with %v: %+v, not %s\n%s", r, has, x.Answer, outcome, naive.text())
				}
				outcomes[x.Answer.Outcome]++
			}
			has := pick(g, sets)
			mays += naive.explainsUnsaid(t, g, f, r, has)
			if i == 0 || r.route == "" {
				continue // the command takes a route or a URL
			}
			write(t, path, naive.text())
			var x cli.Explanation
			run(t, &x, "explain", path, "--route", r.method+" "+r.route, "--have", haveOf(has),
				"--role", strings.Join(r.user.roles, ","), "--tenant", r.user.tenant, "--at", r.at.Format(time.RFC3339))
			decides := naive.matching(r.method, r.route).decide(r.user, r.at)
			require.Equal(t, decides.outcome(has), x.Answer.Outcome, naive.text())
			require.Equal(t, decides.name, x.Rules[len(x.Rules)-1].Rule, naive.text())
		}
	}
	assert.Greater(t, mays, randomFiles/20)
	for _, outcome := range []string{cli.Allow, cli.Report, cli.Refuse} {
		assert.Greater(t, outcomes[outcome], randomFiles, outcome)
	}
}

// outcome is what happens to a request about which a rule decides.
func (r naiveRule) outcome(has map[string]bool) string {
	switch {
	case r.kind != "require" || r.policy.holds(has):
		return cli.Allow
	case r.reportOnly:
		return cli.Report
	}
	return cli.Refuse
}

// explainsUnsaid compares an answer about a user of whom the roles, the tenant or both are
// not said with the answers for all users who may be meant.
func (f naiveFile) explainsUnsaid(t *testing.T, g generator, file *rules.File, r randomRequest, has map[string]bool) (mays int) {
	t.Helper()
	set := factorsOf(has)
	q := cli.Question{Method: r.method, Route: r.route, At: r.at, Have: &set}
	users := usersOfWorld()
	switch g.IntN(3) {
	case 0:
		q.Roles = append([]string{}, r.user.roles...)
		users = slices.DeleteFunc(users, func(u naiveUser) bool { return !slices.Equal(u.roles, r.user.roles) })
	case 1:
		q.Tenant = &r.user.tenant
		users = slices.DeleteFunc(users, func(u naiveUser) bool { return u.tenant != r.user.tenant })
	}
	x, err := cli.Explain(file, &q)
	require.NoError(t, err)
	var may []string
	for _, step := range x.Rules {
		if step.Result != cli.Miss {
			may = append(may, step.Rule)
		}
	}
	outcomes, matching := make(map[string]bool), f.matching(r.method, r.route)
	for _, u := range users {
		decides := matching.decide(u, r.at)
		require.Contains(t, may, decides.name, f.text())
		outcomes[decides.outcome(has)] = true
	}
	if x.Answer.Outcome != cli.Depends {
		require.Equal(t, map[string]bool{x.Answer.Outcome: true}, outcomes, f.text())
	}
	return len(may) - 1
}

// held lists what a user has enrolled.
func held(has map[string]bool) []string {
	var names []string
	for _, name := range sixTypes() {
		if has[name] {
			names = append(names, name)
		}
	}
	return names
}

// haveOf is the value of the flag --have.
func haveOf(has map[string]bool) string {
	if list := strings.Join(held(has), ","); list != "" {
		return strings.ReplaceAll(list, "VOICE", `"VOICE"`)
	}
	return "none"
}

// relation compares two rules by who gets through, and then by who is reported.
func relation(before, after naiveRule, sets []map[string]bool) string {
	by := func(passes func(r naiveRule, has map[string]bool) bool) string {
		stricter, looser := false, false
		for _, has := range sets {
			was, is := passes(before, has), passes(after, has)
			stricter, looser = stricter || was && !is, looser || !was && is
		}
		return name(stricter, looser)
	}
	if r := by(naiveRule.allowed); r != "equal" {
		return r
	}
	return by(func(r naiveRule, has map[string]bool) bool { return r.kind != "require" || r.policy.holds(has) })
}

func name(stricter, looser bool) string {
	switch {
	case stricter && looser:
		return "incomparable"
	case stricter:
		return "stricter"
	case looser:
		return "looser"
	}
	return "equal"
}

// TestDiffAgrees compares what diff says of pairs of random files with all users and all
// subsets of six factor types.
func TestDiffAgrees(t *testing.T) {
	t.Parallel()
	g := generator{rand.New(rand.NewPCG(21, 3))}
	sets := subsets()
	counts := make(map[string]int)
	for range 300 {
		before, was := g.good(t)
		after, is := g.good(t)
		if g.IntN(2) == 0 { // a small change: most pairs of files have nothing in common
			after = before
			after.rules = slices.Clone(before.rules)
			if len(after.rules) > 0 {
				at := g.IntN(len(after.rules))
				after.rules[at].reportOnly = after.rules[at].kind == "require" && !after.rules[at].reportOnly
			}
			var err error
			if is, err = rules.Parse([]byte(after.text()), "mfa.yaml"); err != nil {
				continue
			}
		}
		at := pick(g, timesOfWorld())
		var routes []rules.Route
		for _, route := range routesOfWorld() {
			routes = append(routes, rules.Route{Method: pick(g, methodsOfWorld()), Path: route})
		}
		d := cli.DiffFiles(was, is, routes, at)
		for _, route := range routes {
			methods := []string{route.Method}
			if route.Method == http.MethodGet {
				methods = append(methods, "HEAD")
			}
			for _, method := range methods {
				stricter, looser := false, false
				was, is := before.matching(method, route.Path), after.matching(method, route.Path)
				for _, now := range []time.Time{at, exemptUntil()} { // the later one, or the same
					for _, u := range usersOfWorld() {
						switch relation(was.decide(u, now), is.decide(u, now), sets) {
						case "stricter":
							stricter = true
						case "looser":
							looser = true
						case "incomparable":
							stricter, looser = true, true
						}
					}
				}
				want, got := name(stricter, looser), "equal"
				for _, c := range d.Differences {
					if c.Path == route.Path && slices.ContainsFunc(c.Methods, func(m string) bool { return m == method || m == "ANY" || m == "_OTHER" && method == "PURGE" }) {
						got = c.Relation
					}
				}
				counts[got]++
				if want != got {
					t.Fatalf("%s %s at %v: %s, not %s\n%s\n%s", method, route.Path, at, got, want, before.text(), after.text())
				}
			}
		}
	}
	for _, relation := range []string{"stricter", "looser", "equal", "incomparable"} {
		assert.Greater(t, counts[relation], 100, relation)
	}
}

// TestCheckAgrees compares what check says of random files with rules that are tried one
// after the other: which files it refuses, which routes are open, which rules no route of
// an app meets, and which routes only the default guards.
func TestCheckAgrees(t *testing.T) {
	t.Parallel()
	g := generator{rand.New(rand.NewPCG(21, 4))}
	dir := t.TempDir()
	path, routes := filepath.Join(dir, "mfa.yaml"), filepath.Join(dir, "coverage.json")
	w := world{usersOfWorld(), timesOfWorld(), subsets()}
	refused, unmet, defaults, opens := 0, 0, 0, 0
	for range 500 {
		naive := g.file()
		app := rules.App{Framework: "net/http"}
		for _, route := range g.some(routesOfWorld(), 12) {
			host, rest := "", route
			if i := strings.IndexByte(route, '/'); i > 0 {
				host, rest = route[:i], route[i:]
			}
			if route != "" {
				app.Routes = append(app.Routes, rules.Registered{Method: pick(g, []string{"GET", "POST", "DELETE"}), Host: host, Path: rest})
			}
		}
		if app.Routes == nil { // no app: the command says so
			app.Routes = []rules.Registered{{Method: "GET", Path: "/"}}
		}
		coverage := rules.Cover(nil, app)
		data, err := coverage.JSON()
		require.NoError(t, err)
		write(t, routes, string(data))
		write(t, path, naive.text())
		at := pick(g, timesOfWorld())
		var c cli.Check
		code := run(t, &c, "check", path, "--routes", routes, "--at", at.Format(time.RFC3339))
		var codes []string
		for _, m := range c.Mistakes {
			if !m.Note {
				codes = append(codes, m.Code)
			}
		}
		assert.Equal(t, len(codes) == 0, code == 0)
		if never, weaker := naive.wrong(w); len(never)+len(weaker) > 0 {
			refused++
			assert.Equal(t, 3, code, naive.text())
			assert.Empty(t, c.Hash)
			continue
		}
		var ended, met, notes, open []string
		for _, r := range naive.rules {
			if r.kind == "exempt" && !at.Before(exemptUntil()) {
				ended = append(ended, "expired")
			}
		}
		for i := range coverage.Routes {
			row := &coverage.Routes[i]
			onlyDefault, methods := true, []string{row.Method}
			if row.Method == http.MethodGet {
				methods = append(methods, "HEAD")
			}
			for _, method := range methods {
				matching := naive.matching(method, row.Host+row.Path)
				for _, u := range w.users {
					for _, at := range w.times {
						for _, r := range matching.applying(u, at) {
							met = append(met, r.name)
							onlyDefault = onlyDefault && r.name == "default"
						}
					}
				}
				if matching.decide(naiveUser{}, at).kind != "require" {
					open = append(open, method+" "+row.Host+row.Path)
				}
			}
			if onlyDefault {
				notes = append(notes, fmt.Sprintf("%s %s: only the default guards it", row.Method, row.Host+row.Path))
			}
		}
		for _, r := range naive.rules {
			if !slices.Contains(met, r.name) {
				ended = append(ended, "no-route")
				unmet++
			}
		}
		assert.ElementsMatch(t, ended, codes, naive.text())
		var gotNotes, gotOpen []string
		for _, m := range c.Mistakes {
			if m.Code == "default-only" {
				gotNotes = append(gotNotes, m.Message)
			}
		}
		for _, o := range c.Open {
			for _, method := range o.Methods {
				gotOpen = append(gotOpen, method+" "+o.Path)
			}
		}
		assert.ElementsMatch(t, notes, gotNotes, naive.text())
		assert.ElementsMatch(t, open, gotOpen, naive.text())
		defaults, opens = defaults+len(notes), opens+len(open)
	}
	for name, count := range map[string]int{"refused": refused, "unmet": unmet, "defaults": defaults, "opens": opens} {
		assert.Greater(t, count, 50, name)
	}
}
