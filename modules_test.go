package echomfa_test

import (
	"io/fs"
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

// TestDependabotKnowsEveryModule compares the list of modules that are kept up to date
// with the tree.
func TestDependabotKnowsEveryModule(t *testing.T) {
	t.Parallel()
	listed := regexp.MustCompile(`(?s)package-ecosystem: gomod\n\s+directories: \[(.*?)\]`).FindStringSubmatch(read(t, ".github/dependabot.yml"))
	require.NotNil(t, listed)
	// The peers in bench stay at the versions that the tables of docs/performance.md name.
	known := append(strings.Split(strings.ReplaceAll(listed[1], `"`, ""), ", "), "/bench")
	var present []string
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == "node_modules":
			return filepath.SkipDir
		case entry.Name() == "go.mod":
			present = append(present, "/"+strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "."))
		}
		return nil
	}))
	slices.Sort(present)
	assert.ElementsMatch(t, present, known)
}
