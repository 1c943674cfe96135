//go:build slow

package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// publishable are the modules of this repository that others import, with the
// directory of each.
func publishable() map[string]string {
	return map[string]string{
		"github.com/echomfa/echomfa":            "..",
		"github.com/echomfa/echomfa/echov5":     filepath.Join("..", "echov5"),
		"github.com/echomfa/echomfa/enroll":     filepath.Join("..", "enroll"),
		"github.com/echomfa/echomfa/otelmfa":    filepath.Join("..", "otelmfa"),
		"github.com/echomfa/echomfa/redisstore": filepath.Join("..", "redisstore"),
	}
}

const publishedVersion = "v0.0.1"

// TestModulesAreUsableFromOutside publishes each module on a proxy made of
// files, and uses it as others do: by go get, with no replace. A module that
// its go.mod forgets would be found by go get all the same, at whatever
// version; so each that is built in must be named there.
func TestModulesAreUsableFromOutside(t *testing.T) {
	t.Parallel()
	proxy := t.TempDir()
	required := make(map[string]bool)
	for path, dir := range publishable() {
		required[path] = true
		for _, name := range publish(t, proxy, path, dir) {
			required[name] = true
		}
	}

	user := t.TempDir()
	program, err := os.ReadFile(filepath.Join("testdata", "consumer", "main.go.txt"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(user, "main.go"), program, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(user, "go.mod"), []byte("module example.com/user\n\ngo 1.26.0\n"), 0o600))
	var sums []byte
	for _, dir := range publishable() {
		some, err := os.ReadFile(filepath.Join(dir, "go.sum"))
		require.NoError(t, err)
		sums = append(sums, some...)
	}
	require.NoError(t, os.WriteFile(filepath.Join(user, "go.sum"), sums, 0o600))

	settings, cache := goSettings(t), t.TempDir()
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = user
		// What was downloaded before may come from the module cache, but not
		// this module: that would be the one of an earlier run. -trimpath, because
		// what is built of a new module cache's files is not known from before
		// otherwise, and all that we use would be built each time.
		cmd.Env = append(os.Environ(),
			"GOWORK=off", "GOFLAGS=-mod=mod -modcacherw -trimpath", "GONOSUMDB=github.com/echomfa", "GOMODCACHE="+cache,
			"GOPROXY=file://"+filepath.ToSlash(proxy)+",file://"+filepath.ToSlash(settings["GOMODCACHE"])+"/cache/download,"+settings["GOPROXY"])
		var out, failure bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &failure
		require.NoError(t, cmd.Run(), "go %s: %s", strings.Join(args, " "), failure.String())
		return out.String()
	}
	get := []string{"get"}
	for path := range publishable() {
		get = append(get, path+"@"+publishedVersion)
	}
	run(get...)
	assert.Equal(t, "403 200 401 401\n", run("run", "."))
	for path := range publishable() {
		built := run("list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}", path+"/...")
		assert.Contains(t, built, path+" "+publishedVersion)
		for line := range strings.Lines(built) {
			if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); name != "" {
				assert.True(t, required[name], "%s is built in, but not required", name)
			}
		}
	}
	written, err := os.ReadFile(filepath.Join(user, "go.mod"))
	require.NoError(t, err)
	assert.NotContains(t, string(written), "replace")
}

func goSettings(t *testing.T) map[string]string {
	t.Helper()
	raw, err := exec.CommandContext(t.Context(), "go", "env", "-json", "GOMODCACHE", "GOPROXY").Output()
	require.NoError(t, err)
	settings := make(map[string]string)
	require.NoError(t, json.Unmarshal(raw, &settings))
	return settings
}

// publish puts the module in dir into a proxy's directory, made of what git
// tracks or would track, and returns what its go.mod requires.
func publish(t *testing.T, proxy, path, dir string) (required []string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = dir
	raw, err := list.Output()
	require.NoError(t, err)
	var files []zip.File
	for name := range strings.SplitSeq(strings.TrimSuffix(string(raw), "\x00"), "\x00") {
		f := treeFile{dir: dir, name: name}
		if _, err := f.Lstat(); err == nil { // not deleted, but not yet in git
			files = append(files, f)
		}
	}
	mod, parsed := release(t, filepath.Join(dir, "go.mod"))
	assert.Empty(t, parsed.Replace, "%s would be another module for others", path)
	for _, r := range parsed.Require {
		required = append(required, r.Mod.Path)
	}
	for i, f := range files {
		if f.Path() == "go.mod" {
			files[i] = madeFile{treeFile{dir: dir, name: "go.mod"}, mod}
		}
	}

	var archive bytes.Buffer
	require.NoError(t, zip.Create(&archive, module.Version{Path: path, Version: publishedVersion}, files))
	at := filepath.Join(proxy, filepath.FromSlash(path), "@v")
	require.NoError(t, os.MkdirAll(at, 0o750))
	for name, content := range map[string]string{
		"list":                     publishedVersion + "\n",
		publishedVersion + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, publishedVersion),
		publishedVersion + ".mod":  string(mod),
		publishedVersion + ".zip":  archive.String(),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(at, name), []byte(content), 0o600))
	}
	return required
}

// release does what CONTRIBUTING.md says of a release: modules of this repository
// are required at their version, and come from there.
func release(t *testing.T, name string) ([]byte, *modfile.File) {
	t.Helper()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	parsed, err := modfile.Parse("go.mod", raw, nil)
	require.NoError(t, err)
	for path := range publishable() {
		for _, r := range parsed.Replace {
			if r.Old.Path == path {
				require.NoError(t, parsed.DropReplace(path, r.Old.Version))
			}
		}
		for _, r := range parsed.Require {
			if r.Mod.Path == path {
				require.NoError(t, parsed.AddRequire(path, publishedVersion))
			}
		}
	}
	parsed.Cleanup()
	made, err := parsed.Format()
	require.NoError(t, err)
	return made, parsed
}

// madeFile is a file whose content is not the tree's.
type madeFile struct {
	treeFile
	content []byte
}

func (f madeFile) Lstat() (os.FileInfo, error) {
	info, err := f.treeFile.Lstat()
	return madeInfo{info, int64(len(f.content))}, err
}

func (f madeFile) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.content)), nil }

type madeInfo struct {
	os.FileInfo
	size int64
}

func (i madeInfo) Size() int64 { return i.size }

// treeFile is a file of the tree, for a module's archive.
type treeFile struct{ dir, name string }

func (f treeFile) Path() string                 { return f.name }
func (f treeFile) Lstat() (os.FileInfo, error)  { return os.Lstat(filepath.Join(f.dir, f.name)) }
func (f treeFile) Open() (io.ReadCloser, error) { return os.Open(filepath.Join(f.dir, f.name)) }
