//go:build slow

package integration_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	modulePath = "github.com/echomfa/echomfa"
	// released is a version that no go.mod file names yet, and no release will have.
	released = "v0.90.0"
)

// repository is a clone of this one, with what is in no commit yet.
type repository struct {
	t   *testing.T
	dir string
	env []string
}

func scratch(t *testing.T) repository {
	t.Helper()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	home := t.TempDir()
	identity := filepath.Join(home, "gitconfig")
	require.NoError(t, os.WriteFile(identity, []byte("[user]\n\tname = Releaser\n\temail = releaser@example.com\n"), 0o600))
	r := repository{t, filepath.Join(home, "echomfa"), append(os.Environ(), "GOTOOLCHAIN=auto", "GIT_CONFIG_GLOBAL="+identity, "GIT_CONFIG_SYSTEM=/dev/null")}
	r.run(root, "git", "clone", "-q", "--no-tags", root, r.dir)
	r.git("rm", "-q", "-r", ".")
	for name := range strings.SplitSeq(strings.TrimSuffix(r.run(root, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00"), "\x00") {
		info, err := os.Stat(filepath.Join(root, name))
		if os.IsNotExist(err) { // deleted, and not yet in git
			continue
		}
		require.NoError(t, err)
		content, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(r.dir, name)), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(r.dir, name), content, info.Mode()))
	}
	r.commit("Take over the tree")
	return r
}

func (r repository) try(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(r.t.Context(), args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, r.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r repository) run(dir string, args ...string) string {
	r.t.Helper()
	out, err := r.try(dir, args...)
	require.NoError(r.t, err, "%s\n%s", strings.Join(args, " "), out)
	return out
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	return r.run(r.dir, append([]string{"git"}, args...)...)
}

func (r repository) commit(message string) {
	r.t.Helper()
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", message)
}

func (r repository) edit(name, old, replaced string) {
	r.t.Helper()
	text := r.read(name)
	require.Contains(r.t, text, old)
	require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, name), []byte(strings.Replace(text, old, replaced, 1)), 0o600))
}

func (r repository) read(name string) string {
	r.t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.dir, name))
	require.NoError(r.t, err)
	return string(raw)
}

func (r repository) release(version string, settings ...string) (string, error) {
	return r.try(r.dir, append([]string{"make", "--no-print-directory", "release", "VERSION=" + version}, settings...)...)
}

// refused shows that a release ends before it makes anything.
func (r repository) refused(version, why string, settings ...string) {
	r.t.Helper()
	before := r.git("for-each-ref")
	out, err := r.release(version, settings...)
	require.Error(r.t, err, "%s", out)
	assert.Contains(r.t, out, "release: "+why)
	assert.Equal(r.t, before, r.git("for-each-ref"))
}

// published are the modules that a release tags, with the folder of each, the root first.
func (r repository) published() (folders []string) {
	r.t.Helper()
	return strings.Fields(strings.ReplaceAll(r.run(r.dir, "scripts/modules.sh", "published"), "./", ""))
}

func tagOf(folder, version string) string { return strings.TrimPrefix(folder+"/"+version, "./") }

// TestRelease makes a release in a clone of this tree, as maintainers do, and uses it as
// others do: from nothing but its tags.
func TestRelease(t *testing.T) {
	t.Parallel()
	r := scratch(t)
	key := filepath.Join(t.TempDir(), "key")
	r.run(r.dir, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)

	for version, why := range map[string]string{
		"":        "VERSION is v0.MINOR.PATCH",
		"0.2.0":   "VERSION is v0.MINOR.PATCH",
		"v2.0.0":  "VERSION is v0.MINOR.PATCH",
		"v0.2":    "VERSION is v0.MINOR.PATCH",
		"v0.2.0-": "VERSION is v0.MINOR.PATCH",
	} {
		r.refused(version, why)
	}
	r.refused(released, "RELEASE is dry, yes or files", "RELEASE=no")
	r.refused(released, "the tags of "+released+" are not all there", "RELEASE=files")
	r.edit("go.mod", "module ", "// A change.\nmodule ")
	r.refused(released, "there are changes that are in no commit")
	r.git("checkout", "-q", ".")
	r.edit("UPGRADING.md", "\n## Unreleased\n", "\n## Not yet\n")
	r.commit("Say nothing about upgrading")
	r.refused(released, "UPGRADING.md says nothing under Unreleased")
	r.git("reset", "-q", "--hard", "HEAD^")

	before := r.git("rev-parse", "HEAD")
	out, err := r.release(released, "RELEASE=yes", "SIGNING_KEY="+key)
	require.NoError(t, err, "%s", out)
	t.Log(out)
	folders := r.published()
	require.Equal(t, ".", folders[0])
	require.GreaterOrEqual(t, len(folders), 4)

	var tags, modules []string
	last := -1
	for _, folder := range folders {
		tag := tagOf(folder, released)
		tags = append(tags, tag)
		modules = append(modules, strings.TrimSuffix(modulePath+"/"+folder, "/.")+"@"+released)
		at := strings.Index(out, "release: tag "+tag+", signed\n")
		assert.Greater(t, at, last, "%s is tagged, in this order", tag)
		last = at
		path, _, _ := strings.Cut(modules[len(modules)-1], "@")
		assert.Contains(t, out, "release: an app on "+path+" builds from the tags alone\n")
	}
	assert.ElementsMatch(t, tags, strings.Fields(r.git("tag")))
	assert.Contains(t, out, "\ngit push --atomic origin HEAD:main "+strings.Join(tags, " ")+"\n")
	assert.Equal(t, before, r.git("rev-parse", "HEAD^"))
	assert.Empty(t, r.git("status", "--porcelain"))

	public, err := os.ReadFile(key + ".pub")
	require.NoError(t, err)
	signers := filepath.Join(t.TempDir(), "signers")
	require.NoError(t, os.WriteFile(signers, append([]byte("releaser@example.com "), public...), 0o600))
	for _, folder := range folders {
		tag := tagOf(folder, released)
		r.git("-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile="+signers, "tag", "-v", tag)
		assert.Equal(t, r.git("rev-parse", "HEAD"), r.git("rev-parse", tag+"^{commit}"))
		mod := r.git("show", tag+":"+strings.TrimPrefix(folder+"/go.mod", "./"))
		assert.NotRegexp(t, `replace|v0\.0\.0\n`, mod)
		for _, version := range regexp.MustCompile(modulePath+`\S* (v\S+)`).FindAllStringSubmatch(mod, -1) {
			assert.Equal(t, released, version[1], mod)
		}
	}

	r.files(t, folders)
	// The workflow makes the same files again.
	sums := r.read("dist/" + released + "/SHA256SUMS")
	require.NoError(t, os.RemoveAll(filepath.Join(r.dir, "dist")))
	out, err = r.release(released, "RELEASE=files")
	require.NoError(t, err, "%s", out)
	assert.Equal(t, sums, r.read("dist/"+released+"/SHA256SUMS"))
	r.apps(t, modules)
	r.next(t)
}

// files holds what a release gives beside its tags against what it promises.
func (r repository) files(t *testing.T, folders []string) {
	t.Helper()
	dist := filepath.Join("dist", released)
	sums := r.read(filepath.Join(dist, "SHA256SUMS"))
	listed := make(map[string]string)
	for line := range strings.Lines(sums) {
		fields := strings.Fields(line)
		listed[fields[1]] = fields[0]
	}
	entries, err := os.ReadDir(filepath.Join(r.dir, dist))
	require.NoError(t, err)
	for _, entry := range entries {
		if entry.Name() == "SHA256SUMS" {
			continue
		}
		sum := sha256.Sum256([]byte(r.read(filepath.Join(dist, entry.Name()))))
		assert.Equal(t, hex.EncodeToString(sum[:]), listed[entry.Name()], entry.Name())
		delete(listed, entry.Name())
	}
	assert.Empty(t, listed)

	notes := r.read(filepath.Join(dist, "NOTES.md"))
	assert.Contains(t, notes, "### Security\n")
	assert.Contains(t, notes, "## Upgrading\n")
	assert.Regexp(t, `govulncheck finds no known vulnerability\.|No vulnerability database could be reached: nothing was looked up\.`, notes)
	sumsOfModules := r.read(filepath.Join(dist, "go.sum"))
	for _, folder := range folders {
		path := strings.TrimSuffix(modulePath+"/"+folder, "/.")
		assert.Contains(t, notes, "| `"+path+"` | `"+tagOf(folder, released)+"` |\n")
		assert.Regexp(t, `(?m)^`+path+` `+regexp.QuoteMeta(released)+` h1:\S+=$`, sumsOfModules)
		assert.Regexp(t, `(?m)^`+path+` `+regexp.QuoteMeta(released)+`/go.mod h1:\S+=$`, sumsOfModules)
	}
	assert.Contains(t, r.read(filepath.Join(dist, "api.txt")), "no release is tagged")

	programs := []string{"portal"} // and what is a command of a published module
	for _, folder := range folders {
		require.NoError(t, filepath.WalkDir(filepath.Join(r.dir, folder, "cmd"), func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Name() == "main.go" {
				programs = append(programs, filepath.Base(filepath.Dir(name)))
				assert.Contains(t, notes, "`go install "+modulePath+"/"+filepath.ToSlash(filepath.Join(folder, "cmd", programs[len(programs)-1]))+"@"+released+"` works")
			}
			return nil
		}))
	}
	for _, program := range programs {
		var bom struct {
			Format     string `json:"bomFormat"`
			Components []struct {
				Name, Version string
				Evidence      struct{ Licenses []any }
			}
		}
		require.NoError(t, json.Unmarshal([]byte(r.read(filepath.Join(dist, program+".cdx.json"))), &bom), program)
		assert.Equal(t, "CycloneDX", bom.Format)
		require.Greater(t, len(bom.Components), 2, program)
		own := false
		for _, c := range bom.Components {
			own = own || c.Name == modulePath && c.Version == released
			assert.NotEmpty(t, c.Version, "%s: %s", program, c.Name)
			assert.True(t, len(c.Evidence.Licenses) > 0 || c.Name == "std", "%s: no license of %s", program, c.Name)
		}
		assert.True(t, own, program)
	}
}

// apps uses the tags as others do, after UPGRADING.md.
func (r repository) apps(t *testing.T, modules []string) {
	t.Helper()
	var settings struct{ GOMODCACHE, GOPROXY string }
	require.NoError(t, json.Unmarshal([]byte(r.run(r.dir, "go", "env", "-json", "GOMODCACHE", "GOPROXY")), &settings))
	made := t.TempDir()
	proxy := r
	proxy.env = append(slices.Clone(r.env), "GOWORK=off", "GOFLAGS=-modcacherw", "GOPROXY=direct", "GONOSUMDB="+modulePath, "GOMODCACHE="+made,
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://"+r.dir+".insteadOf", "GIT_CONFIG_VALUE_0=https://"+modulePath)
	proxy.run(made, append([]string{"go", "mod", "download"}, modules...)...)

	user := repository{t, t.TempDir(), append(slices.Clone(r.env), "GOWORK=off", "GOFLAGS=-mod=mod -modcacherw -trimpath", "GONOSUMDB="+modulePath, "GOMODCACHE="+t.TempDir(),
		"GOPROXY=file://"+made+"/cache/download,file://"+settings.GOMODCACHE+"/cache/download,"+settings.GOPROXY)}
	program, err := os.ReadFile(filepath.Join("testdata", "consumer", "main.go.txt"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(user.dir, "main.go"), program, 0o600))
	// An app that uses a clone, as the README has it before the first release.
	var mod bytes.Buffer
	mod.WriteString("module example.com/user\n\ngo 1.26.0\n")
	modules = slices.DeleteFunc(slices.Clone(modules), func(module string) bool {
		path, _, _ := strings.Cut(module, "@")
		return !strings.Contains(string(program), `"`+path)
	})
	for _, module := range modules {
		path, _, _ := strings.Cut(module, "@")
		fmt.Fprintf(&mod, "\nreplace %s => %s\n", path, filepath.Join(r.dir, strings.TrimPrefix(path, modulePath)))
	}
	require.NoError(t, os.WriteFile(filepath.Join(user.dir, "go.mod"), mod.Bytes(), 0o600))
	user.run(user.dir, "go", "mod", "tidy")
	assert.Equal(t, "403 200 401 401\n", user.run(user.dir, "go", "run", "."))

	commands := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(r.read("UPGRADING.md"), -1)
	require.Greater(t, len(commands), 1)
	// What one release or another asks for, and what each does.
	for _, block := range append(commands[1:], commands[0]) {
		user.run(user.dir, "sh", "-e", "-c", strings.ReplaceAll(block[1], "VERSION", released))
		assert.NotContains(t, user.read("go.mod"), "replace")
	}
	assert.Equal(t, "403 200 401 401\n", user.run(user.dir, "go", "run", "."))
	for _, module := range modules {
		path, version, _ := strings.Cut(module, "@")
		assert.Regexp(t, `(?m)^\s+`+path+` `+regexp.QuoteMeta(version)+`$`, user.read("go.mod"))
	}

	bin := t.TempDir()
	user.env = append(slices.Clone(user.env), "GOBIN="+bin)
	user.run(t.TempDir(), "go", "install", modulePath+"/rules/cmd/echomfa@"+released)
	assert.Regexp(t, `^echomfa version `+regexp.QuoteMeta(released)+`, go\S+\n$`, user.run(bin, "./echomfa", "--version"))
}

// next shows what is refused once there is a release, and what is said of its API.
func (r repository) next(t *testing.T) {
	t.Helper()
	r.refused(released, released+" is tagged already")
	r.refused("v0.89.9", "v0.89.9 is older than "+released)
	r.refused("v0.91.0", "CHANGELOG.md says nothing under Unreleased")

	for _, name := range []string{"CHANGELOG.md", "UPGRADING.md"} {
		r.edit(name, "\nNothing yet.\n", "\nA change.\n")
	}
	r.edit("storetest/run.go", "\n// Run tests", "\n// Walk is new.\nfunc Walk() {}\n\n// Run tests")
	r.edit("storetest/run.go", "\nfunc Run(", "\nfunc RunAll(")
	r.commit("Rename a function")
	changes := r.run(r.dir, "make", "api")
	assert.Regexp(t, `(?s)Incompatible changes:\n.*Run: removed.*Compatible changes:\n.*Walk: added`, changes)
	assert.Contains(t, changes, "api: "+modulePath+"/enroll since "+released+": nothing\n")
	r.refused("v0.90.1", "v0.90.1 is a patch, and breaks apps")
}
