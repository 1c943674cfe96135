package echomfa_test

import (
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/echomfa/echomfa"

// ownRequire finds a module of this repository with its version, as go.mod and go.work name it.
var ownRequire = regexp.MustCompile(`(?m)^(?:require |replace )?\t?(` + modulePath + `[\w/]*) (v\S+)(?: => (\S+))?`)

// moduleFolders returns the folders of all modules but tools, by their paths, and which of
// them nobody imports, as scripts/modules.sh has them.
func moduleFolders(t *testing.T) (folders map[string]string, unpublished []string) {
	t.Helper()
	folders = make(map[string]string)
	require.NoError(t, filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{"node_modules", "tools", "dist"}, entry.Name()):
			return filepath.SkipDir
		case entry.Name() == "go.mod":
			found := regexp.MustCompile(`(?m)^module (\S+)$`).FindStringSubmatch(read(t, name))
			require.NotNil(t, found, name)
			folders[found[1]] = filepath.ToSlash(filepath.Dir(name))
		}
		return nil
	}))
	list := regexp.MustCompile(`(?m)^unpublished='(.+)'$`).FindStringSubmatch(read(t, "scripts/modules.sh"))
	require.NotNil(t, list)
	return folders, strings.Split(list[1], "|")
}

// TestPublishedModulesNeedNoReplace holds the go.mod of each module against what a release
// needs. A module that others can require has no replace, which they would not get, and
// names versions that are or will be tagged; its go.work finds, at these versions, all that
// it needs of this repository, and nothing else.
func TestPublishedModulesNeedNoReplace(t *testing.T) {
	t.Parallel()
	folders, unpublished := moduleFolders(t)
	versions := make(map[string]bool)
	for name, folder := range folders {
		assert.Equal(t, path.Join(modulePath, folder), name)
		mod := read(t, path.Join(folder, "go.mod"))
		required := make(map[string]string)
		for _, match := range ownRequire.FindAllStringSubmatch(mod, -1) {
			required[match[1]] = match[2]
			versions[match[2]] = true
		}
		if slices.Contains(unpublished, folder) {
			for need := range required {
				assert.Contains(t, mod, need+" => ../"+strings.TrimPrefix(folders[need], "."), folder)
			}
			assert.NoFileExists(t, path.Join(folder, "go.work"))
			continue
		}
		const mend = "%s: make tidy turns the replace that a new module begins with into a go.work"
		assert.NotRegexp(t, `(?m)^replace|^\t.* => `, mod, mend, folder)
		assert.NotContains(t, mod, " v0.0.0\n", mend, folder)
		if len(required) == 0 {
			assert.NoFileExists(t, path.Join(folder, "go.work"))
			continue
		}
		work := read(t, path.Join(folder, "go.work"))
		used := []string{"."}
		replaced := make(map[string]string)
		for _, match := range ownRequire.FindAllStringSubmatch(work, -1) {
			replaced[match[1]] = match[2]
			used = append(used, match[3])
			assert.Equal(t, folders[match[1]], path.Join(folder, match[3]), folder)
		}
		assert.Equal(t, required, replaced, folder)
		_, list, found := strings.Cut(work, "use (\n")
		require.True(t, found, folder)
		list, _, _ = strings.Cut(list, ")")
		assert.ElementsMatch(t, used, strings.Fields(list), folder)
	}
	assert.Len(t, versions, 1, "all modules of a release have one version")
	for _, folder := range unpublished {
		assert.Contains(t, slices.Collect(maps.Values(folders)), folder)
	}
}

// TestNothingNamesWhatIsNotReleased shows that no document tells the reader to get a version
// that is not there: only the README does, with the newest one of CHANGELOG, once there is one.
func TestNothingNamesWhatIsNotReleased(t *testing.T) {
	t.Parallel()
	versions := func(name string) (found []string) {
		for _, match := range regexp.MustCompile(`(?m)^## (v\S+) \(\d{4}-\d\d-\d\d\)$`).FindAllStringSubmatch(read(t, name), -1) {
			found = append(found, match[1])
		}
		return found
	}
	released := versions("CHANGELOG.md")
	assert.Equal(t, released, versions("UPGRADING.md"))
	var want []string
	if len(released) > 0 {
		want = []string{"go get " + modulePath + "@" + released[0]}
	}
	for name, text := range documents(t) {
		commands := regexp.MustCompile(`go (?:get|install) `+modulePath+`[\w/@.]*`).FindAllString(text, -1)
		commands = slices.DeleteFunc(commands, func(command string) bool { return strings.HasSuffix(command, "@VERSION") })
		if name == "README.md" {
			assert.Equal(t, want, commands)
			continue
		}
		assert.Empty(t, commands, name)
	}
	_, install, found := strings.Cut(read(t, "README.md"), "\n<!-- install -->\n")
	require.True(t, found)
	install, _, found = strings.Cut(install, "<!-- /install -->\n")
	require.True(t, found)
	if len(released) == 0 {
		assert.Contains(t, install, "No release is tagged yet")
		return
	}
	assert.Equal(t, strings.ReplaceAll(read(t, "scripts/install.txt"), "VERSION", released[0]), install)
}

// TestWorkflowsUseWhatIsPinned shows that a workflow runs no action that a tag names, which
// can be moved, and that only what publishes a release may write.
func TestWorkflowsUseWhatIsPinned(t *testing.T) {
	t.Parallel()
	names := glob(t, ".github/workflows/*.yml")
	require.NotEmpty(t, names)
	writes := make(map[string][]string)
	for _, name := range names {
		text := read(t, name)
		assert.Contains(t, text, "\npermissions:\n  contents: read\n", name)
		for _, use := range regexp.MustCompile(`(?m)^.*\buses: (.+)$`).FindAllStringSubmatch(text, -1) {
			assert.Regexp(t, `^(\./\.github/workflows/\w+\.yml|[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+)$`, use[1], name)
		}
		for _, may := range regexp.MustCompile(`(?m)^ +([\w-]+): write$`).FindAllStringSubmatch(text, -1) {
			writes[filepath.Base(name)] = append(writes[filepath.Base(name)], may[1])
		}
	}
	assert.Equal(t, map[string][]string{"release.yml": {"id-token", "attestations", "contents"}}, writes)
	assert.Contains(t, read(t, ".github/workflows/release.yml"), "uses: actions/attest-build-provenance@")
}
