package echomfa_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFieldCasesNameEveryTest compares the table of cases with the tests, both
// ways: no row names a test that is not there, and no test that is named after a
// case is in no row.
func TestFieldCasesNameEveryTest(t *testing.T) {
	t.Parallel()
	declared := declaredTests(t)
	listed := make(map[string]bool)
	rows := regexp.MustCompile(`(?m)^\| ([FHMNX]\d+) \|[^|]+\| ([^|]+) \|$`).FindAllStringSubmatch(read(t, "docs/field-cases.md"), -1)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		tests := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[2], -1)
		assert.NotEmpty(t, tests, row[1])
		for _, test := range tests {
			assert.True(t, declared[test[1]], "%s: %s", row[1], test[1])
			listed[test[1]] = true
		}
	}
	for test := range declared {
		if regexp.MustCompile(`^Test(Field|[HNX]\d)`).MatchString(test) && test != "TestFieldCasesNameEveryTest" {
			assert.True(t, listed[test], "%s is in no row", test)
		}
	}
}

// TestDocumentsNameTestsThatExist holds every test that a document names as evidence
// against the tests of all modules.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	declared := declaredTests(t)
	named := 0
	for name, text := range documents(t) {
		if name == "CHANGELOG.md" { // it says what was
			continue
		}
		for _, test := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(text, -1) {
			named++
			assert.True(t, declared[test[1]], "%s names %s", name, test[1])
		}
	}
	assert.Greater(t, named, 300)
}

// TestDocumentsUseTheWordList looks for the phrases that CONTRIBUTING replaces by others:
// in all documents, and in what users of the modules read of the code: the comments of
// what is exported, error texts and log messages, and the texts of the pages.
func TestDocumentsUseTheWordList(t *testing.T) {
	t.Parallel()
	_, section, found := strings.Cut(read(t, "CONTRIBUTING.md"), "\n## Words\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	var phrases []string
	for _, row := range regexp.MustCompile(`(?m)^\| [^|]+ \| (.+) \|$`).FindAllStringSubmatch(section, -1) {
		for _, phrase := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			phrases = append(phrases, regexp.QuoteMeta(phrase[1]))
		}
	}
	require.Greater(t, len(phrases), 20)
	forbidden := regexp.MustCompile(`(?i)\b(` + strings.Join(phrases, "|") + `)\b`)
	texts := documents(t)
	delete(texts, "CHANGELOG.md")    // it says what was
	delete(texts, "CONTRIBUTING.md") // it has the list
	texts["enroll/locales/en.json"] = read(t, "enroll/locales/en.json")
	for _, pattern := range []string{"*.go", "*/*.go", "internal/*/*.go"} {
		for _, name := range glob(t, pattern) {
			dir := filepath.Base(filepath.Dir(name))
			if !strings.HasSuffix(name, "_test.go") && !slices.Contains([]string{"integration", "bench", "mutants"}, dir) {
				texts[name] = publishedText(t, name, filepath.ToSlash(pattern) != "internal/*/*.go")
			}
		}
	}
	require.Contains(t, texts["config.go"], "Namespace keeps")
	require.Contains(t, texts["log.go"], "mfa lookups work again")
	for name, text := range texts {
		assert.Empty(t, forbidden.FindAllString(normalized(text), -1), name)
	}
}

// publishedText returns what readers see of a file without its source: its literals of more
// than one word, and, of a package that they can import, the comments of what is exported.
func publishedText(t *testing.T, name string, comments bool) string {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.ParseComments)
	require.NoError(t, err)
	var text strings.Builder
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && isText(literal) && strings.Contains(literal.Value, " ") {
			text.WriteString(textOf(t, literal) + "\n")
		}
		return true
	})
	if comments {
		ast.FileExports(file)
		ast.Inspect(file, func(n ast.Node) bool {
			if group, ok := n.(*ast.CommentGroup); ok {
				text.WriteString(group.Text() + "\n")
			}
			return true
		})
	}
	return text.String()
}

// TestMapNamesEveryFile compares the map in CONTRIBUTING with the tree: each file of
// the root has its line, so has each package in internal, and nothing else has one.
func TestMapNamesEveryFile(t *testing.T) {
	t.Parallel()
	text := read(t, "CONTRIBUTING.md")
	_, text, _ = strings.Cut(text, "## The map")
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+\\.go)` \\|").FindAllStringSubmatch(text, -1) {
		listed = append(listed, row[1])
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	assert.ElementsMatch(t, files, listed)

	var described, present []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(text, -1) {
		described = append(described, row[1])
	}
	packages, err := os.ReadDir("internal")
	require.NoError(t, err)
	for _, p := range packages {
		present = append(present, p.Name())
	}
	assert.ElementsMatch(t, present, described)
}

// TestMapAnswersQuestions holds each answer of the map against the tree: the function
// that decides is in the file that is named with it.
func TestMapAnswersQuestions(t *testing.T) {
	t.Parallel()
	rows := regexp.MustCompile(`(?m)^\| (\d+)\. .*\? \| (.+) \|$`).FindAllStringSubmatch(read(t, "CONTRIBUTING.md"), -1)
	require.Len(t, rows, 20)
	for i, row := range rows {
		assert.Equal(t, strconv.Itoa(i+1), row[1])
		for answer := range strings.SplitSeq(row[2], ", ") {
			parts := regexp.MustCompile("^`([\\w/.]+)`: `(?:(\\w+)\\.)?(\\w+)`$").FindStringSubmatch(answer)
			require.NotNil(t, parts, "%s: %s", row[1], answer)
			receiver := ""
			if parts[2] != "" {
				receiver = `\(\w+ \*?` + parts[2] + `(\[\w+\])?\) `
			}
			assert.Regexp(t, `(?m)^func `+receiver+parts[3]+`(\[\w+ \w+\])?\(`, read(t, parts[1]), row[1])
		}
	}
}

// TestRootStaysSmall holds how many files the root package has, and how long they are,
// against what a reader can take in. What does not need the root's types goes into a
// package of its own.
func TestRootStaysSmall(t *testing.T) {
	t.Parallel()
	const mostFiles, mostLines = 23, 350
	files := slices.DeleteFunc(glob(t, "*.go"), func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	assert.LessOrEqual(t, len(files), mostFiles)
	for _, name := range files {
		assert.LessOrEqual(t, strings.Count(read(t, name), "\n"), mostLines, name)
	}
}

// TestDocumentsNameFilesThatExist holds every Go file that a document names against
// the tree.
func TestDocumentsNameFilesThatExist(t *testing.T) {
	t.Parallel()
	sources := files(t, ".go")
	for name, text := range documents(t) {
		for _, file := range regexp.MustCompile("`([\\w/]+\\.go)`").FindAllStringSubmatch(text, -1) {
			assert.True(t, slices.ContainsFunc(sources, func(source string) bool { return source == file[1] || strings.HasSuffix(source, "/"+file[1]) }),
				"%s names %s", name, file[1])
		}
	}
}
