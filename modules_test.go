package echomfa_test

import (
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRootRequiresLittle shows what an app gets that uses the middleware alone: no QR
// code and no phone numbers, which only the enrollment pages need. Those are a module
// of their own, and this one does not require it, also for its tests.
func TestRootRequiresLittle(t *testing.T) {
	t.Parallel()
	var direct []string
	for _, line := range regexp.MustCompile(`(?m)^(?:require )?\t?([\w./-]+\.[\w./-]+) v\S+$`).FindAllStringSubmatch(read(t, "go.mod"), -1) {
		direct = append(direct, line[1])
	}
	assert.ElementsMatch(t, []string{
		"github.com/hashicorp/golang-lru/v2", "github.com/labstack/echo/v4", "github.com/stretchr/testify", "go.uber.org/goleak", "golang.org/x/time",
	}, direct)
	for _, name := range []string{"go.mod", "go.sum"} {
		for _, module := range []string{"github.com/echomfa/echomfa/", "rsc.io/qr", "phonenumbers"} {
			assert.NotContains(t, read(t, name), module, name)
		}
	}
}

// TestDependabotKnowsEveryModule compares the folders that are kept up to date with the
// tree: what has a go.mod, and what has a package.json.
func TestDependabotKnowsEveryModule(t *testing.T) {
	t.Parallel()
	entries := regexp.MustCompile(`package-ecosystem: (\w+)\n\s+directories: \[(.*?)\]`).FindAllStringSubmatch(read(t, ".github/dependabot.yml"), -1)
	known := make(map[string][]string)
	for _, entry := range entries {
		known[entry[1]] = append(known[entry[1]], strings.Split(strings.ReplaceAll(entry[2], `"`, ""), ", ")...)
	}
	present := make(map[string][]string)
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		ecosystem := map[string]string{"go.mod": "gomod", "package.json": "npm"}[filepath.Base(path)]
		switch {
		case err != nil:
			return err
		case entry.Name() == "node_modules":
			return filepath.SkipDir
		case ecosystem != "":
			present[ecosystem] = append(present[ecosystem], "/"+strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "."))
		}
		return nil
	}))
	for _, folders := range []map[string][]string{known, present} {
		for _, list := range folders {
			slices.Sort(list)
		}
	}
	assert.Equal(t, present, known)
}

// TestTargetsOfMakefileRunTests shows that each part of a -run names a test, and that every
// test which only a build tag lets in is one of them: without that, nothing runs it. To take
// pictures is not to run it.
func TestTargetsOfMakefileRunTests(t *testing.T) {
	t.Parallel()
	declared := slices.Collect(maps.Keys(declaredTests(t)))
	targets := make(map[string][]*regexp.Regexp) // by build tag
	for _, match := range regexp.MustCompile(`(?m)go test (.*?)-run '?([^' ]+)'?(.*)$`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		pattern := strings.ReplaceAll(match[2], "$$", "$")
		tag := regexp.MustCompile(`-tags (\w+)`).FindStringSubmatch(match[1])
		if tag != nil && !strings.Contains(match[3], "-screenshots") {
			targets[tag[1]] = append(targets[tag[1]], regexp.MustCompile(pattern))
		}
		for name := range strings.SplitSeq(strings.Trim(pattern, "^()$"), "|") {
			assert.True(t, slices.ContainsFunc(declared, func(test string) bool { return strings.HasPrefix(test, name) }), "no test is called %s", name)
		}
	}
	require.Contains(t, targets, "slow")
	found := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text := read(t, path)
		tag := regexp.MustCompile(`(?m)^//go:build (\w+)$`).FindStringSubmatch(text)
		if tag == nil || tag[1] == "race" || tag[1] == "unix" { // ./test.sh has these
			return nil
		}
		for _, test := range regexp.MustCompile(`(?m)^func (Test\w+)\(t `).FindAllStringSubmatch(text, -1) {
			found++
			assert.True(t, slices.ContainsFunc(targets[tag[1]], func(run *regexp.Regexp) bool { return run.MatchString(test[1]) }),
				"%s: no target runs %s", path, test[1])
		}
		return nil
	}))
	assert.Positive(t, found)
}
