package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/spelling"
)

// suite is a table of test cases.
type suite struct {
	rules, routes string
	cases         []testCase
}

// testCase is a request, and what is expected of it.
type testCase struct {
	line     int
	name     string
	question Question
	url      bool   // the route of the question is a URL
	expect   string // an outcome
	rule     string // that decides; "" for any
}

// suiteReader reads a table of test cases, and collects what is wrong with it.
type suiteReader struct {
	file     string
	mistakes rules.Mistakes
	names    map[string]int // the lines of the cases' names
}

const (
	maxSuiteDepth = 8
	maxMistakes   = 100
	maxText       = 1 << 10
	maxSigns      = 150_000 // by which a value may begin: each costs some hundred bytes
)

func (s *suiteReader) fail(n *yaml.Node, format string, args ...any) {
	if len(s.mistakes) < maxMistakes {
		s.mistakes = append(s.mistakes, rules.Mistake{File: s.file, Code: "case", Line: n.Line, Column: n.Column, Message: fmt.Sprintf(format, args...)})
	}
}

// readSuite reads a table of test cases.
func readSuite(data []byte, name string) (*suite, rules.Mistakes) {
	s := &suiteReader{file: name, names: make(map[string]int)}
	root := s.load(data)
	if root == nil {
		return nil, s.mistakes
	}
	result := &suite{}
	fields := s.mapping(root, "the file", []string{"rules", "now", "cases"}, []string{"routes"})
	if fields == nil {
		return nil, s.mistakes
	}
	result.rules, result.routes = s.text(fields["rules"], "rules"), s.text(fields["routes"], "routes")
	now := s.time(fields["now"])
	for i, n := range s.list(fields["cases"], "cases") {
		result.cases = append(result.cases, s.testCase(n, i, now, fields["routes"] != nil))
	}
	if len(result.cases) == 0 && len(s.mistakes) == 0 {
		s.fail(root, "there are no cases")
	}
	slices.SortStableFunc(s.mistakes, func(a, b rules.Mistake) int { return a.Line - b.Line })
	return result, s.mistakes
}

// load makes a tree of the file, or nil.
func (s *suiteReader) load(data []byte) *yaml.Node {
	start := &yaml.Node{Line: 1, Column: 1}
	signs := 0
	for _, c := range data {
		if strings.IndexByte("\n,:[{-?&*!", c) >= 0 {
			signs++
		}
	}
	if signs > maxSigns {
		s.fail(start, "the file has more than %d values: make two of it", maxSigns)
		return nil
	}
	var documents []yaml.Node
	err := yaml.Load(data, &documents, yaml.WithAllDocuments(), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxSuiteDepth))))
	if err != nil {
		where, message := *start, err.Error()
		load := (*yaml.LoadError)(nil)
		if many := (*yaml.LoadErrors)(nil); errors.As(err, &many) && len(many.Errors) > 0 {
			load = many.Errors[0]
		} else {
			errors.As(err, &load)
		}
		if load != nil {
			where, message = yaml.Node{Line: max(load.Mark.Line, 1), Column: max(load.Mark.Column, 1)}, strings.TrimPrefix(load.Message, "yaml: ")
		}
		s.fail(&where, "%s", message)
		return nil
	}
	switch {
	case len(documents) == 0, documents[0].Kind == yaml.DocumentNode && len(documents[0].Content) == 0:
		s.fail(start, "the file is empty")
		return nil
	case len(documents) > 1:
		s.fail(&documents[1], "the file has more than one document: remove the line ---")
		return nil
	}
	if root := &documents[0]; root.Kind != yaml.DocumentNode {
		return root
	}
	return documents[0].Content[0]
}

// mapping returns the values of a mapping by key, or nil.
func (s *suiteReader) mapping(n *yaml.Node, what string, required, optional []string) map[string]*yaml.Node {
	if !s.plain(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		s.fail(n, "%s must be a mapping of %s", what, strings.Join(slices.Concat(required, optional), ", "))
		return nil
	}
	known := slices.Concat(required, optional)
	fields := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case !slices.Contains(known, key.Value):
			suggestion := spelling.DidYouMean(key.Value, known)
			if suggestion == "" {
				suggestion = "its keys are " + strings.Join(known, ", ")
			}
			s.fail(key, "unknown key %q in %s: %s", key.Value, what, suggestion)
		case fields[key.Value] != nil:
			s.fail(key, "the key %s is there twice", key.Value)
		default:
			fields[key.Value] = value
		}
	}
	for _, key := range required {
		if fields[key] == nil {
			s.fail(n, "%s has no %s", what, key)
		}
	}
	return fields
}

// list returns the values of a list.
func (s *suiteReader) list(n *yaml.Node, what string) []*yaml.Node {
	if n == nil || !s.plain(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		s.fail(n, "%s must be a list", what)
		return nil
	}
	return n.Content
}

// text returns a text, or "" for a key that is not there.
func (s *suiteReader) text(n *yaml.Node, what string) string {
	if n == nil || !s.plain(n) {
		return ""
	}
	switch {
	case n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || strings.TrimSpace(n.Value) == "":
		s.fail(n, "%s must be a text", what)
		return ""
	case len(n.Value) > maxText:
		s.fail(n, "%s has more than %d bytes", what, maxText)
		return ""
	case strings.ContainsFunc(n.Value, func(r rune) bool { return !unicode.IsPrint(r) }):
		s.fail(n, "%s has a character that cannot be printed: %q", what, n.Value)
		return ""
	}
	return n.Value
}

// plain reports whether a value is written out. The values of an alias are elsewhere, and
// there may be many.
func (s *suiteReader) plain(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		s.fail(n, "aliases are not read: write the value out")
		return false
	}
	return true
}

func (s *suiteReader) texts(n *yaml.Node, what string) []string {
	values := []string{}
	for _, item := range s.list(n, what) {
		values = append(values, s.text(item, "a value of "+what))
	}
	return values
}

func (s *suiteReader) time(n *yaml.Node) time.Time {
	text := s.text(n, "now")
	if text == "" {
		return time.Time{}
	}
	t, err := parseTime(text)
	if err != nil {
		s.fail(n, "now: %v", err)
	}
	return t
}

// testCase reads one case. What it does not say of the user, the user does not have.
func (s *suiteReader) testCase(n *yaml.Node, index int, now time.Time, hasRoutes bool) testCase {
	c := testCase{line: n.Line, name: fmt.Sprintf("case %d", index+1)}
	fields := s.mapping(n, "a case", []string{"have", "expect"}, []string{"name", "route", "url", "role", "tenant", "now", "rule"})
	if fields == nil {
		return c
	}
	if name := s.text(fields["name"], "name"); name != "" {
		c.name = name
		if line, twice := s.names[name]; twice {
			s.fail(fields["name"], "the name %q is there twice, first in line %d", name, line)
		} else {
			s.names[name] = fields["name"].Line
		}
	}
	tenant := s.text(fields["tenant"], "tenant")
	c.question = Question{At: now, Roles: s.texts(fields["role"], "role"), Tenant: &tenant}
	if at := fields["now"]; at != nil {
		c.question.At = s.time(at)
	}
	if have := fields["have"]; have != nil {
		set, err := factors(s.texts(have, "have"))
		if err != nil {
			s.fail(have, "have: %v", err)
		}
		c.question.Have = &set
	}
	if c.expect = s.text(fields["expect"], "expect"); c.expect != "" && !slices.Contains([]string{Allow, Report, Refuse}, c.expect) {
		s.fail(fields["expect"], "expect must be %s, %s or %s, not %q", Allow, Report, Refuse, c.expect)
	}
	c.rule = s.text(fields["rule"], "rule")
	s.request(n, fields, &c, hasRoutes)
	return c
}

// request reads which request a case is about.
func (s *suiteReader) request(n *yaml.Node, fields map[string]*yaml.Node, c *testCase, hasRoutes bool) {
	route, url := fields["route"], fields["url"]
	if (route == nil) == (url == nil) {
		s.fail(n, "a case has one of route and url")
		return
	}
	at, what := route, "route"
	if c.url = url != nil; c.url {
		at, what = url, "url"
	}
	text := s.text(at, what)
	method, rest, err := request(text)
	switch {
	case text == "":
		return
	case err != nil:
		s.fail(at, "%s: %v", what, err)
	case c.url && !hasRoutes:
		s.fail(at, "url: the file has no routes: name the coverage of the app")
	case method == "" && !c.url:
		s.fail(at, "route: %q has no method", text)
	case method == "":
		method = "GET"
	}
	c.question.Method, c.question.Route = method, rest
}
