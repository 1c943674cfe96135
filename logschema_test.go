package echomfa_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/breaker"
	"github.com/echomfa/echomfa/internal/returnto"
)

// logLine is a line that the code can write.
type logLine struct{ event, message string }

// logUse is what the source files do with a logger.
type logUse struct {
	lines  map[logLine]bool
	keys   map[string]bool
	values map[string]map[string]bool // of keys whose value is a variable that is only given literals
	words  map[string]bool            // keys whose value is what a String method returns
}

// TestLogSchemaIsComplete compares the events, messages, keys and values that the code
// logs with the tables of docs/log.schema.md, both ways.
func TestLogSchemaIsComplete(t *testing.T) {
	t.Parallel()
	use := logUse{map[logLine]bool{}, map[string]bool{"event": true}, map[string]map[string]bool{}, map[string]bool{}}
	for _, pattern := range []string{"*.go", "internal/*/*.go", "client/*.go", "enroll/*.go", "redisstore/*.go", "rules/*.go"} {
		for _, name := range glob(t, pattern) {
			if !strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(filepath.Dir(name), "test") {
				use.read(t, name)
			}
		}
	}
	require.Contains(t, use.lines, logLine{"refused", "mfa refused"})
	require.Contains(t, use.keys, "decision_id")

	schema := read(t, "docs/log.schema.md")
	lines, events, keys := map[logLine]bool{}, map[string]string{}, map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)` \\| (?:Error|Warn|Info|see below)").FindAllStringSubmatch(schema, -1) {
		lines[logLine{row[1], row[2]}] = true
	}
	assert.Equal(t, use.lines, lines)
	for line := range lines {
		assert.Regexp(t, `^[a-z]+(_[a-z]+)*$`, line.event)
		if line.message == "mfa would refuse" { // in report-only mode
			assert.Equal(t, "refused", line.event)
			continue
		}
		assert.NotContains(t, events, line.event, "two messages have one event")
		events[line.event] = line.message
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (?:string|int|bool|duration|time|any) \\|").FindAllStringSubmatch(schema, -1) {
		keys[row[1]] = true
	}
	assert.Equal(t, use.keys, keys)
	assert.Equal(t, use.allValues(t), valuesOf(schema))
}

// valuesOf reads the table of values.
func valuesOf(schema string) map[string]map[string]bool {
	_, table, _ := strings.Cut(schema, "\n## Values\n")
	found := make(map[string]map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		add(found, row[1], row[2])
	}
	return found
}

// allValues returns the values that keys can have of which there are few.
func (u *logUse) allValues(t *testing.T) map[string]map[string]bool {
	t.Helper()
	all := maps.Clone(u.values)
	for n := range uint8(32) { // more than each type has
		add(all, "outcome", echomfa.Outcome(n).String())
		add(all, "source", echomfa.Source(n).String())
		add(all, "class", breaker.Cause(n).String())
		if int(n) < int(returnto.Omissions) {
			add(all, "reason", returnto.Omission(n).String())
		}
	}
	for _, let := range []echomfa.Outcome{echomfa.Allowed, echomfa.Exempted} { // of which there is no line
		delete(all["outcome"], let.String())
	}
	for key := range u.words {
		if !slices.Contains([]string{"enrolled", "policy", "route_policy"}, key) {
			assert.Contains(t, all, key, "its values are not listed here")
		}
	}
	return all
}

func add(values map[string]map[string]bool, key, value string) {
	if value == "" {
		return
	}
	if values[key] == nil {
		values[key] = make(map[string]bool)
	}
	values[key][value] = true
}

// read adds what a file logs. Each line has a constant event as its first attribute, or
// is written by a function that is given one, whose calls are read instead.
func (u *logUse) read(t *testing.T, name string) {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
	require.NoError(t, err)
	var within []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			within = within[:len(within)-1]
			return true
		}
		within = append(within, n)
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		function, of := calledName(call)
		switch {
		case of == "slog" && slices.Contains([]string{"String", "Bool", "Int", "Int64", "Uint64", "Float64", "Duration", "Any", "Group", "Time"}, function):
			u.readAttr(t, call, within)
		case function == "log" && len(call.Args) >= 2 && isText(call.Args[0]) && isText(call.Args[1]):
			u.lines[logLine{textOf(t, call.Args[0]), textOf(t, call.Args[1])}] = true
		case of != "http" && slices.Contains(loggingMethods, function):
			u.readLine(t, name, call, within)
		}
		return true
	})
}

// loggingMethods are those of slog, by names that nothing else has here. Error is also
// what an error has, without arguments.
var loggingMethods = []string{ //nolint:gochecknoglobals // a list
	"LogAttrs", "Log", "DebugContext", "InfoContext", "WarnContext", "ErrorContext", "Debug", "Info", "Warn", "Error",
}

// readLine adds a call of a logger's method.
func (u *logUse) readLine(t *testing.T, name string, call *ast.CallExpr, within []ast.Node) {
	t.Helper()
	if len(call.Args) == 0 {
		return
	}
	message, event := ast.Expr(nil), ast.Expr(nil)
	for _, arg := range call.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			inner, ok := n.(*ast.CallExpr)
			if ok && event == nil {
				function, of := calledName(inner)
				if of == "slog" && function == "String" && isText(inner.Args[0]) && textOf(t, inner.Args[0]) == "event" {
					event = inner.Args[1]
				} else if of == "slog" {
					assert.Fail(t, "event is not the first attribute", "%s: %s", name, function)
				}
			}
			return event == nil
		})
		if event == nil && message == nil && (isText(arg) || isNamed(arg, "message")) {
			message = arg
		}
	}
	switch {
	case event == nil, message == nil:
		assert.Fail(t, "a line without a constant message and event", "%s: %v", name, call.Args)
	case isText(message) && isText(event):
		u.lines[logLine{textOf(t, event), textOf(t, message)}] = true
	case isText(event): // one event in two modes: the message is one of two literals
		function, ok := within[1].(*ast.FuncDecl)
		require.True(t, ok, name)
		messages := literalsOf(t, function, "message")
		assert.Len(t, messages, 2, name)
		for _, message := range messages {
			u.lines[logLine{textOf(t, event), message}] = true
		}
	default:
		assert.True(t, isNamed(message, "message") && isNamed(event, "event"), "%s: a line whose event is not constant", name)
	}
}

// readAttr adds the key of an attribute, and the literals that its value may be.
func (u *logUse) readAttr(t *testing.T, call *ast.CallExpr, within []ast.Node) {
	t.Helper()
	if !isText(call.Args[0]) {
		return
	}
	key := textOf(t, call.Args[0])
	u.keys[key] = true
	if key == "event" || len(call.Args) < 2 {
		return
	}
	switch value := call.Args[1].(type) {
	case *ast.CallExpr:
		if function, _ := calledName(value); function == "String" {
			u.words[key] = true
		}
	case *ast.Ident:
		for _, n := range within {
			if function, ok := n.(*ast.FuncDecl); ok {
				for _, text := range literalsOf(t, function, value.Name) {
					add(u.values, key, text)
				}
			}
		}
	}
}

// literalsOf returns the literals that a function assigns to a variable.
func literalsOf(t *testing.T, function *ast.FuncDecl, name string) []string {
	t.Helper()
	var found []string
	ast.Inspect(function, func(n ast.Node) bool {
		if assigned, ok := n.(*ast.AssignStmt); ok && len(assigned.Lhs) == len(assigned.Rhs) {
			for i, to := range assigned.Lhs {
				if isNamed(to, name) && isText(assigned.Rhs[i]) {
					found = append(found, textOf(t, assigned.Rhs[i]))
				}
			}
		}
		return true
	})
	return found
}

// calledName returns the name of what is called, and what stands before its dot.
func calledName(call *ast.CallExpr) (function, of string) {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name, ""
	case *ast.SelectorExpr:
		if x, ok := fun.X.(*ast.Ident); ok {
			of = x.Name
		}
		return fun.Sel.Name, of
	}
	return "", ""
}

func isNamed(x ast.Expr, name string) bool {
	ident, ok := x.(*ast.Ident)
	return ok && ident.Name == name
}

func isText(x ast.Expr) bool {
	literal, ok := x.(*ast.BasicLit)
	return ok && literal.Kind == gotoken.STRING
}

func textOf(t *testing.T, x ast.Expr) string {
	t.Helper()
	literal, ok := x.(*ast.BasicLit)
	require.True(t, ok)
	text, err := strconv.Unquote(literal.Value)
	require.NoError(t, err)
	return text
}
