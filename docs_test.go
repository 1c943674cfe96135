package echomfa_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
)

// documents returns the texts of the README and the pages beside it.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, name := range files(t, ".md") {
		texts[name] = read(t, name)
	}
	require.Contains(t, texts, "README.md")
	return texts
}

// files returns the files of the tree whose names end so, but for what tests read and
// what npm has brought.
func files(t *testing.T, ending string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", "dist", "node_modules", "testdata"}, entry.Name()):
			return filepath.SkipDir
		case strings.HasSuffix(name, ending):
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	}))
	require.NotEmpty(t, names)
	return names
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.FromSlash(pattern))
	require.NoError(t, err)
	return names
}

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(name))
	require.NoError(t, err)
	return strings.ReplaceAll(string(raw), "\r\n", "\n")
}

// TestGoBlocksOfDocumentsAreCompiled shows that every Go block of the documents
// is part of an Example or a program of this repository, but for indentation.
func TestGoBlocksOfDocumentsAreCompiled(t *testing.T) {
	t.Parallel()
	var compiled []string
	for _, name := range files(t, ".go") {
		if regexp.MustCompile(`example[^/]*_test\.go$|^examples/|^integration/recipes/`).MatchString(name) {
			compiled = append(compiled, normalized(read(t, name)))
		}
	}
	blocks := 0
	for name, text := range documents(t) {
		for _, match := range regexp.MustCompile("(?s)```go\\b[^\n]*\n(.*?)```").FindAllStringSubmatch(text, -1) {
			blocks++
			block := normalized(match[1])
			assert.True(t, slices.ContainsFunc(compiled, func(source string) bool { return strings.Contains(source, block) }),
				"%s: no Example or program has this block:\n%s", name, match[1])
		}
	}
	assert.Greater(t, blocks, 1)
}

func normalized(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestCommandsOfReadmeWork shows that every line of the README's shell blocks
// starts something that is there. What the Go blocks are, the tests of
// examples/quickstart and examples/nethttp show.
func TestCommandsOfReadmeWork(t *testing.T) {
	t.Parallel()
	module := regexp.MustCompile(`(?m)^module (\S+)$`).FindStringSubmatch(read(t, "go.mod"))
	require.NotNil(t, module)
	readme := read(t, "README.md")
	blocks := regexp.MustCompile("(?s)```(\\w*)\n(.*?)```").FindAllStringSubmatch(readme, -1)
	require.Len(t, blocks, strings.Count(readme, "```")/2, "a block that says what it is in the usual way")
	for _, block := range blocks {
		if block[1] == "go" || block[1] == "mermaid" {
			continue
		}
		require.Equal(t, "sh", block[1])
		for line := range strings.Lines(block[2]) {
			switch words := strings.Fields(line); {
			case len(words) == 3 && words[0] == "go" && words[1] == "get":
				// TestNothingNamesWhatIsNotReleased says at which version.
				assert.True(t, strings.HasPrefix(words[2], module[1]+"@v"), line)
			case programRun.MatchString(line):
				// TestProgramsOfDocumentsAreThere looks for it.
			default:
				assert.Fail(t, "nothing shows that this works", line)
			}
		}
	}
}

// programRun finds the command that starts a program of a module of this repository.
var programRun = regexp.MustCompile(`\bgo -C (\S+) run \./([\w/]+)`)

// TestProgramsOfDocumentsAreThere shows that every program that a document tells the
// reader to run is one.
func TestProgramsOfDocumentsAreThere(t *testing.T) {
	t.Parallel()
	found := make(map[string]bool)
	for name, text := range documents(t) {
		for _, command := range programRun.FindAllStringSubmatch(text, -1) {
			found[command[2]] = true
			assert.FileExists(t, filepath.Join(command[1], "go.mod"), name)
			assert.Contains(t, read(t, command[1]+"/"+command[2]+"/main.go"), "\npackage main\n", name)
		}
	}
	assert.Contains(t, found, "portal")
	assert.Contains(t, found, "fleet")
}

// TestLinksOfDocumentsLead shows that every relative link names a file, and
// every fragment a heading of it.
func TestLinksOfDocumentsLead(t *testing.T) {
	t.Parallel()
	for name, text := range documents(t) {
		for _, match := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			target, fragment, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = filepath.Join(filepath.Dir(name), filepath.FromSlash(target))
			}
			_, err := os.Stat(file)
			if !assert.NoError(t, err, "%s: link to %s", name, match[1]) || fragment == "" {
				continue
			}
			assert.Contains(t, headings(read(t, file)), fragment, "%s: link to %s", name, match[1])
		}
	}
}

// headings returns the fragments by which headings of a page can be linked.
func headings(text string) []string {
	var found []string
	for _, match := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		slug := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(match[1]), "")
		found = append(found, strings.ReplaceAll(slug, " ", "-"))
	}
	return found
}

// TestPolicyTables shows that text and Go in each row of the README and of
// docs/configuration.md are one policy.
func TestPolicyTables(t *testing.T) {
	t.Parallel()
	inGo := map[string]echomfa.Policy{
		"AnyOf(OTP)":                        echomfa.AnyOf(echomfa.OTP),
		"AnyOf(OTP, Face)":                  echomfa.AnyOf(echomfa.OTP, echomfa.Face),
		"AllOf(OTP, Email)":                 echomfa.AllOf(echomfa.OTP, echomfa.Email),
		"AtLeast(2, OTP, SMS, Email)":       echomfa.AtLeast(2, echomfa.OTP, echomfa.SMS, echomfa.Email),
		"AnyOf(OTP).And(AnyOf(SMS, Email))": echomfa.AnyOf(echomfa.OTP).And(echomfa.AnyOf(echomfa.SMS, echomfa.Email)),
		"AnyOf(Face).Or(AllOf(OTP, SMS))":   echomfa.AnyOf(echomfa.Face).Or(echomfa.AllOf(echomfa.OTP, echomfa.SMS)),
		`Custom("VOICE")`:                   echomfa.Custom("VOICE"),
		`Exempt("health check")`:            echomfa.Exempt("health check"),
	}
	var rows [][]string
	for _, name := range []string{"README.md", "docs/configuration.md"} {
		_, section, found := strings.Cut(read(t, name), "\n## Policies\n")
		require.True(t, found, name)
		section, _, _ = strings.Cut(section, "\n## ")
		rows = append(rows, regexp.MustCompile("(?m)^\\| `([^`]+)` \\| `([^`]+)` \\| .+ \\|$").FindAllStringSubmatch(section, -1)...)
	}
	assert.Len(t, rows, len(inGo))
	for _, row := range rows {
		parsed, err := echomfa.ParsePolicy(row[1])
		if assert.NoError(t, err, row[1]) && assert.Contains(t, inGo, row[2]) {
			assert.Equal(t, row[1], inGo[row[2]].String())
			assert.True(t, parsed.Equal(inGo[row[2]]), row[1])
		}
	}
}

// TestProblemSampleIsAnAnswer compares the sample in docs/problems.md with an
// answer.
func TestProblemSampleIsAnAnswer(t *testing.T) {
	t.Parallel()
	_, sample, found := strings.Cut(read(t, "docs/problems.md"), "```json\n")
	require.True(t, found)
	sample, _, _ = strings.Cut(sample, "```")
	emulator, genauth, done := kitchen()
	defer done()
	mfa, err := echomfa.New(echomfa.Config{Client: genauth, EnrollURL: "/mfa"})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, mfa.Close()) })
	guard := mfa.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.OTP, echomfa.Face)})
	w := ask(guard(http.NotFoundHandler()), http.MethodGet, "/", "Authorization: Bearer "+emulator.AccessToken("bob"))

	var want, got map[string]any
	require.NoError(t, json.Unmarshal([]byte(sample), &want))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	assert.Len(t, got["decision_id"], len("4KXZQ2M7N5J3W6RBYTAV5C2DHE"))
	got["decision_id"] = want["decision_id"]
	assert.Equal(t, want, got)
}

// TestRunbookNamesEveryStat shows that no figure is left without an
// explanation.
func TestRunbookNamesEveryStat(t *testing.T) {
	t.Parallel()
	runbook := read(t, "docs/runbook.md")
	var walk func(typ reflect.Type, prefix string)
	walk = func(typ reflect.Type, prefix string) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			if field.Type.Kind() == reflect.Struct {
				walk(field.Type, prefix+field.Name+".")
				continue
			}
			assert.Contains(t, runbook, "`"+prefix+field.Name+"`")
		}
	}
	walk(reflect.TypeFor[echomfa.Stats](), "")
}

// TestContributingListsEveryTarget compares the table of CONTRIBUTING with the
// Makefile, both ways.
func TestContributingListsEveryTarget(t *testing.T) {
	t.Parallel()
	targets := func(name, pattern string) []string {
		var found []string
		for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(read(t, name), -1) {
			found = append(found, match[1])
		}
		slices.Sort(found)
		return found
	}
	made := targets("Makefile", `(?m)^([a-z-]+):.*##`)
	require.NotEmpty(t, made)
	assert.Equal(t, made, targets("CONTRIBUTING.md", "(?m)^\\| `make ([a-z-]+)` \\|"))
}

// TestThreatModelNamesEveryTest compares the rows of the threat model with the
// tests that are named after them, both ways: no row without a test, unless it
// says so, and no such test without its row.
func TestThreatModelNamesEveryTest(t *testing.T) {
	t.Parallel()
	declared := declaredTests(t)
	var ids []string
	listed := make(map[string]bool)
	for _, row := range regexp.MustCompile(`(?m)^\| ([TF]\d\d) \|.*\| ([^|]+) \|$`).FindAllStringSubmatch(read(t, "docs/threat-model.md"), -1) {
		id, tests := row[1], row[2]
		ids = append(ids, id)
		if tests == "none" {
			assert.Equal(t, "T44", id)
			continue
		}
		named := false
		for _, test := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(tests, -1) {
			assert.True(t, declared[test[1]], "%s: %s", id, test[1])
			listed[test[1]] = true
			named = named || strings.Contains(test[1], id)
		}
		assert.True(t, named, "%s: no test is named after it", id)
	}
	var all []string
	for i := 1; i <= 48; i++ {
		all = append(all, fmt.Sprintf("F%02d", i), fmt.Sprintf("T%02d", i))
	}
	assert.ElementsMatch(t, all, ids)
	for test := range declared {
		if regexp.MustCompile(`^Test[TF]\d\d`).MatchString(test) {
			assert.True(t, listed[test], "%s is in no row", test)
		}
	}
}

// declaredTests returns the names of all tests and fuzz targets of all modules.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	declared := make(map[string]bool)
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == "node_modules":
			return filepath.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			for _, match := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(read(t, path), -1) {
				declared[match[1]] = true
			}
		}
		return nil
	}))
	return declared
}
