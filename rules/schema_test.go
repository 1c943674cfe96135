package rules_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/echomfa/echomfa/rules"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(rules.Schema())))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("rules.schema.json", document))
	s, err := c.Compile("rules.schema.json")
	require.NoError(t, err)
	return s
}

// tree reads YAML as editors do: dates are texts.
func tree(t *testing.T, text string) any {
	t.Helper()
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal([]byte(text), &document))
	return treeOf(document.Content[0])
}

func treeOf(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any)
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = treeOf(n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			list = append(list, treeOf(item))
		}
		return list
	default:
		if n.ShortTag() == "!!int" {
			number, _ := strconv.Atoi(n.Value)
			return number
		}
		return n.Value
	}
}

// blocks are the YAML files of the documentation, and parts of them.
func blocks(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/rules.md")
	require.NoError(t, err)
	var texts []string
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		switch text := block[1]; {
		case strings.HasPrefix(text, "  - "):
			texts = append(texts, head+"policies: {authenticator: OTP or FACE, two-methods: OTP and FACE}\nrules:\n"+text)
		case strings.HasPrefix(text, "rules: "): // a table of cases
		case !strings.HasPrefix(text, "#"):
			texts = append(texts, text)
		}
	}
	require.GreaterOrEqual(t, len(texts), 2)
	return append(texts, small,
		head+"on_unavailable: refuse\n", head+"on_unavailable: {insecure_allow_until: 2026-12-24T18:00:00+08:00}\n",
		rule("name: a", "exempt: {reason: b, owner: c, expires: 2026-12-24T18:00:00Z}", `routes: ["_OTHER h.example/a"]`),
		rule("name: a", "require: OTP", `routes: ["h.example:8080/a", "GET localhost:80/"]`),
		"version: 1\npolicies: {exempt-team: OTP}\ndefault: {require: exempt-team}\n",
		rule("name: a", "require: '2 of (OTP, \"VOICE\")'", `under: ["/", "h.example/b"]`))
}

// mutations yields a tree with one change each: a key or an element that is missing, a key
// more, and every value replaced by one of other types. The tree is the same afterwards.
func mutations(root any, visit func(what string, root any)) {
	holder := []any{root}
	mutated := func(what string) { visit(what, holder[0]) }
	var walk func(path string, value any, set func(any), remove func() func())
	walk = func(path string, value any, set func(any), remove func() func()) {
		if remove != nil {
			undo := remove()
			mutated("without " + path)
			undo()
		}
		for _, other := range []any{nil, 7, true, "x y", "", "a", []any{}, []any{"a"}, map[string]any{}, map[string]any{"a": 1}, 1.5, "2026-02-30", "2026-12-24T8:00:00Z", "2026-12-24T08:00:00,5Z", "2026-12-24T08:00:00+24:00", "https://a/b", "exempt a", "/a"} {
			if fmt.Sprint(other) != fmt.Sprint(value) {
				set(other)
				mutated(fmt.Sprintf("%s is %#v", path, other))
			}
		}
		set(value)
		switch v := value.(type) {
		case map[string]any:
			for _, bogus := range []string{"bogus", "Name", "grace_period"} {
				v[bogus] = "a"
				mutated(path + " has " + bogus)
				delete(v, bogus)
			}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				child := v[key]
				walk(path+"."+key, child, func(to any) { v[key] = to }, func() func() {
					delete(v, key)
					return func() { v[key] = child }
				})
			}
		case []any:
			for i, child := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), child, func(to any) { v[i] = to }, nil)
			}
		}
	}
	walk("$", root, func(to any) { holder[0] = to }, nil)
}

// onlyParse are the kinds of mistakes that no schema finds.
func onlyParse() []string { return []string{"policy", "unreachable", "when", "duplicate-key"} }

// TestSchema shows that the schema and the parser agree: about every example of the
// documentation, and about what a change of it in one place makes of it.
func TestSchema(t *testing.T) {
	t.Parallel()
	s := compiledSchema(t)
	accepted, refused := 0, 0
	for _, text := range blocks(t) {
		parse(t, text)
		root := tree(t, text)
		require.NoError(t, s.Validate(jsonOf(t, root)), text)
		mutations(root, func(what string, root any) {
			raw, err := json.Marshal(root)
			require.NoError(t, err)
			_, err = rules.Parse(raw, "mfa.json")
			valid := s.Validate(jsonOf(t, root))
			if err == nil {
				accepted++
				assert.NoError(t, valid, "%s\n%s", what, raw)
				return
			}
			refused++
			var mistakes rules.Mistakes
			require.ErrorAs(t, err, &mistakes)
			if slices.ContainsFunc(mistakes, func(m rules.Mistake) bool { return !slices.Contains(onlyParse(), m.Code) }) {
				assert.Error(t, valid, "%s: %v\n%s", what, err, raw)
			}
		})
	}
	assert.Greater(t, accepted, 50)
	assert.Greater(t, refused, 1000)
}

// jsonOf is what the schema's library wants.
func jsonOf(t *testing.T, root any) any {
	t.Helper()
	raw, err := json.Marshal(root)
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw)))
	require.NoError(t, err)
	return value
}
