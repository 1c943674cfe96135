#!/bin/sh
# Makes a release:
#
#	scripts/release.sh VERSION [dry|yes|files]
#
# In a clone, in a folder of its own, it makes the commit that names the version
# everywhere, the tags (the root module's first, then one for each published module), and
# the files in dist/VERSION; and it builds apps from nothing but these tags. "dry", the
# default, ends there. "yes" takes the commit and the tags over into this repository. It
# pushes nothing, and says what to push. "files" makes the files from tags that are there.
#
# SIGNING_KEY signs the tags: a key of GnuPG by its id, or the file of an SSH key.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
SIGNING_KEY=${SIGNING_KEY:-}
[ ! -f "$SIGNING_KEY" ] || SIGNING_KEY=$(realpath "$SIGNING_KEY")
own=github.com/echomfa/echomfa
version=${1:-}
mode=${2:-dry}
vulndb=${VULNDB:-https://vuln.go.dev}
# Some modules ask for a newer Go than others.
export GOTOOLCHAIN=auto

say() { echo "release: $*"; }
fail() {
	echo "release: $*" >&2
	exit 1
}

# From v2 on, the paths of the modules would end in /v2.
echo "$version" | grep -qxE 'v[01]\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)' || fail "VERSION is v0.MINOR.PATCH or v1.MINOR.PATCH, and not '$version'"
case $mode in dry | yes | files) ;; *) fail "RELEASE is dry, yes or files, and not '$mode'" ;; esac

tag_of() { # tag_of MODULE
	case $1 in
	.) echo "$version" ;;
	*) echo "${1#./}/$version" ;;
	esac
}
path_of() { sed -n 's/^module //p' "$1/go.mod"; }

# section FILE TITLE prints what stands under a second-level title that begins so.
section() {
	awk -v title="## $2" '/^## / { in_it = index($0, title) == 1; next } in_it' "$1" | sed -e '/./,$!d'
}

published=$(scripts/modules.sh published)
commit=$(git rev-parse HEAD)
tagged=$(for module in $published; do git rev-parse -q --verify "refs/tags/$(tag_of "$module")" || true; done)
previous=$(git describe --tags --abbrev=0 --match 'v[0-9]*' ${tagged:+"$version^"} 2>/dev/null || true)
if [ "$mode" = files ]; then
	for module in $published; do
		[ "$(git rev-parse -q --verify "refs/tags/$(tag_of "$module")^{commit}")" = "$(git rev-parse "$version^{commit}")" ] ||
			fail "the tags of $version are not all there, at one commit"
	done
	commit=$(git rev-parse "$version^{commit}")
else
	[ -z "$tagged" ] || fail "$version is tagged already"
	[ -z "$(git status --porcelain)" ] || fail "there are changes that are in no commit"
	[ "$(printf '%s\n' "$previous" "$version" | sort -V | tail -n 1)" = "$version" ] || fail "$version is older than $previous"
fi

work=$(mktemp -d)
trap 'chmod -R u+w "$work" && rm -rf "$work"' EXIT
dist=$work/dist
mkdir "$dist"
git clone -q "$root" "$work/repository"
cd "$work/repository"
git checkout -q -B release "$commit"

# changed FILE replaces a file by standard input, and keeps its mode.
changed() { cat >"$work/changed" && cat "$work/changed" >"$1"; }

name_version() {
	for file in CHANGELOG.md UPGRADING.md; do
		[ -n "$(section $file Unreleased | sed '/^Nothing yet\.$/d')" ] || fail "$file says nothing under Unreleased"
		awk -v title="## $version ($(date -u +%Y-%m-%d))" '/^## Unreleased$/ { print; print "\nNothing yet.\n"; $0 = title } { print }' $file | changed $file
	done
	for file in $(find . -name go.mod -o -name go.work | grep -v node_modules); do
		sed -E "s#(${own}[a-z0-9/]*) v[0-9]+\.[0-9]+\.[0-9]+#\1 $version#" "$file" | changed "$file"
	done
	awk -v version="$version" '
		/^<!-- \/install -->$/ { skip = 0 }
		!skip
		/^<!-- install -->$/ {
			skip = 1
			while ((getline line <"scripts/install.txt") > 0) { gsub(/VERSION/, version, line); print line }
		}' README.md | changed README.md
}

if [ "$mode" != files ]; then
	git config user.name "$(git -C "$root" config user.name)" || true
	git config user.email "$(git -C "$root" config user.email)" || true
	name_version
	git commit -q -a -m "Release $version"
	say "the commit that names $version changes: $(git show --format= --name-only | tr '\n' ' ')"

	for module in $published; do
		set -- -a
		[ ! -f "$SIGNING_KEY" ] || git config gpg.format ssh
		[ -z "$SIGNING_KEY" ] || set -- -s -u "$SIGNING_KEY"
		git tag "$@" -m "$(path_of "$module") $version" "$(tag_of "$module")"
		say "tag $(tag_of "$module")$([ "$1" = -s ] && echo ', signed')"
	done
fi

scripts/api.sh "${previous:-none}" >"$dist/api.txt" || {
	cat "$dist/api.txt"
	fail "$version breaks apps"
}
cat "$dist/api.txt"
case $version in
v*.0) ;;
*) ! grep -q '^Incompatible' "$dist/api.txt" || fail "$version is a patch, and breaks apps" ;;
esac

# CI has held against each other what stands in the commit that is tagged.
if [ "$mode" != files ]; then
	go test -count=1 -run '^(TestPublished|TestNothingNames|TestCommandsOfReadme|TestDocuments|TestLinks|TestWorkflows)' . >"$work/log" || {
		cat "$work/log"
		fail "the documents do not fit"
	}
	scripts/licenses.sh
fi
cp THIRD_PARTY_NOTICES "$dist"

modules=$(scripts/modules.sh)
status=0
# shellcheck disable=SC2086 # a word for each module
.ci/vuln "$vulndb" $modules >"$work/log" 2>&1 || status=$?
case $status in
0) vulnerabilities="govulncheck finds no known vulnerability." ;;
2) vulnerabilities="No vulnerability database could be reached: nothing was looked up." ;;
*)
	cat "$work/log"
	fail "govulncheck failed"
	;;
esac
say "$vulnerabilities"

# What the module proxies would make of the tags, made here by the same program, and laid
# out as a proxy's files are.
modules=""
for module in $published; do
	modules="$modules $(path_of "$module")@$version"
done
proxies=$(go env GOPROXY)
known=$(go env GOMODCACHE)
# shellcheck disable=SC2086 # a word for each module
(cd "$work" && GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.file://$work/repository.insteadOf" GIT_CONFIG_VALUE_0="https://$own" \
	GOWORK=off GOFLAGS=-modcacherw GOPROXY=direct GONOSUMDB="$own" GOMODCACHE="$work/made" \
	go mod download -json $modules) >"$work/made.json"
proxy=$work/made/cache/download
# The sums that go.sum has in an app that uses the release.
awk -F '"' '$2 == "Path" { path = $4 } $2 == "Version" { version = $4 }
	$2 == "Sum" { print path, version, $4 } $2 == "GoModSum" { print path, version "/go.mod", $4 }' "$work/made.json" >"$dist/go.sum"

# Apps find this repository's modules on that proxy only, in a module cache that never
# had another one of them. -trimpath, because otherwise what is built of a new cache's
# files is not known from before.
export GOWORK=off GOFLAGS='-mod=mod -modcacherw -trimpath' GONOSUMDB="$own" GOMODCACHE="$work/cache"
export GOPROXY="file://$proxy,file://$known/cache/download,$proxies"

# The sums of what others publish, to begin with.
cat ./*/go.sum go.sum | LC_ALL=C sort -u >"$work/go.sum"

app() { # app NAME: a new module, in the folder it prints
	mkdir -p "$work/apps/$1"
	printf 'module example.com/%s\n\ngo 1.25.0\n' "$1" >"$work/apps/$1/go.mod"
	cp "$work/go.sum" "$work/apps/$1"
	echo "$work/apps/$1"
}

commands=""
for module in $published; do
	path=$(path_of "$module")
	packages=$(cd "$module" && GOWORK='' GOFLAGS='' GOPROXY=$proxies GOMODCACHE=$known go list -f '{{.Name}} {{.ImportPath}}' ./...)
	folder=$(app "$(basename "$path")")
	{
		printf 'package main\n\nimport (\n'
		echo "$packages" | awk '$1 != "main" && $2 !~ /\/internal\// { print "\t_ \"" $2 "\"" }'
		printf ')\n\nfunc main() {}\n'
	} >"$folder/main.go"
	(
		cd "$folder"
		{ go get "$path@$version" && go mod tidy && go build -o app .; } 2>"$work/log" || {
			cat "$work/log"
			fail "no app can be built on $path"
		}
		go version -m app | awk '$1 == "dep" { print $2, $3 } $1 == "=>" { print "replaced" }' >"$work/linked"
		if ! grep -qxF "$path $version" "$work/linked" || grep -q replaced "$work/linked"; then
			fail "the app on $path has another one"
		fi
		[ -e "$GOMODCACHE/$path@$version/LICENSE" ] || fail "$path has no license"
		# What its go.mod forgets would come in whatever version there is.
		go mod edit -json "$GOMODCACHE/cache/download/$path/@v/$version.mod" | awk -F '"' '$2 == "Path" { print $4 }' >"$work/required"
		echo "$path" >>"$work/required"
		forgotten=$(cut -d ' ' -f 1 "$work/linked" | grep -vxFf "$work/required" || true)
		[ -z "$forgotten" ] || fail "the go.mod of $path does not name $forgotten"
	)
	say "an app on $path builds from the tags alone"
	commands="$commands $(echo "$packages" | awk '$1 == "main" && $2 !~ /\/internal\// { print $2 }')"
done

cyclonedx=$(GOFLAGS='' GOMODCACHE=$known GOPROXY=$proxies scripts/tool.sh cyclonedx-gomod)
sbom() { # sbom NAME PROGRAM
	"$cyclonedx" bin -json -licenses -std -noserial -notimestamp -version "$version" -output "$dist/$1.cdx.json" "$2" 2>"$work/log" || {
		cat "$work/log"
		fail "no SBOM of $1"
	}
	say "SBOM of $1: $(grep -c '"purl"' "$dist/$1.cdx.json") components"
}

installed=""
for command in $commands; do
	GOFLAGS='-modcacherw -trimpath' GOBIN="$work/bin" go install "$command@$version" 2>"$work/log" || {
		cat "$work/log"
		fail "go install $command@$version fails"
	}
	say "go install $command@$version works"
	installed="${installed:+$installed, }\`go install $command@$version\` works"
	sbom "$(basename "$command")" "$work/bin/$(basename "$command")"
done

# The example app, as an app of its own.
cp -R examples "$work/examples"
(
	cd "$work/examples"
	for module in $published; do
		go mod edit -dropreplace="$(path_of "$work/repository/$module")"
	done
	cat "$work/go.sum" >>go.sum
	go build -o "$work/bin/portal" ./portal 2>"$work/log" || {
		cat "$work/log"
		fail "the examples do not build from the tags alone"
	}
)
sbom portal "$work/bin/portal"

{
	section CHANGELOG.md "$version "
	printf '\n## Upgrading\n\n'
	section UPGRADING.md "$version " | sed "s/@VERSION/@$version/g"
	printf '\n## Modules\n\n| module | tag |\n| --- | --- |\n'
	for module in $published; do
		echo "| \`$(path_of "$module")\` | \`$(tag_of "$module")\` |"
	done
	printf '\n## What was looked at\n\n%s The licenses of all dependencies are in the list of those that are allowed. ' "$vulnerabilities"
	printf 'From nothing but the tags, an app was built on each module, and %s. ' "${installed:-no command is there to install}"
	# shellcheck disable=SC2016 # Markdown
	printf 'Changes of the API: `api.txt`. What `go.sum` must say: `go.sum`. SBOMs of the programs for %s: `*.cdx.json`.\n' "$(go env GOOS)/$(go env GOARCH)"
} >"$dist/NOTES.md"
(cd "$dist" && sha256sum ./* | sed 's|\./||' >"$work/SHA256SUMS" && cp "$work/SHA256SUMS" .)

mkdir -p "$root/dist"
rm -rf "$root/dist/$version"
cp -R "$dist" "$root/dist/$version"
say "the files are in dist/$version: $(cut -d ' ' -f 3 "$dist/SHA256SUMS" | tr '\n' ' ')"

case $mode in
dry) say "dry run: nothing here has changed. RELEASE=yes takes the commit and the tags over" ;;
yes)
	cd "$root"
	git fetch -q --no-tags "$work/repository" release
	git merge -q --ff-only FETCH_HEAD
	tags=""
	for module in $published; do
		tags="$tags $(tag_of "$module")"
		git fetch -q --no-tags "$work/repository" "refs/tags/$(tag_of "$module"):refs/tags/$(tag_of "$module")"
	done
	say "this repository has the commit and the tags. To publish them, all or none:"
	echo "git push --atomic origin HEAD:main$tags"
	;;
esac
