#!/bin/sh
# Tells what has changed in the exported API of the published modules since a tag of the
# root module: the argument, or the last one ("none": there is none). From v1 on it ends with 3 if a change can
# break apps. Before, a minor version may.
set -eu
cd "$(dirname "$0")/.."
last=${1:-$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || true)}
if [ -z "$last" ] || [ "$last" = none ]; then
	echo "api: no release is tagged, so there is nothing to compare with"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Not in tools/go.mod: it wants another version of what the linters are made of.
GOTOOLCHAIN=auto GOWORK=off GOFLAGS='' GOBIN=$work go install golang.org/x/exp/cmd/apidiff@v0.0.0-20261113113407-e3970619a1a4
apidiff=$work/apidiff
mkdir "$work/old"
git archive "$last" | tar -x -C "$work/old"

modules=$(scripts/modules.sh published)
status=0
for module in $modules; do
	path=$(sed -n 's/^module //p' "$module/go.mod")
	if [ ! -e "$work/old/$module/go.mod" ]; then
		echo "api: $path is new since $last"
		continue
	fi
	{ (cd "$work/old/$module" && "$apidiff" -m -w "$work/old.api" "$path") &&
		(cd "$module" && "$apidiff" -m -w "$work/new.api" "$path") &&
		"$apidiff" -m "$work/old.api" "$work/new.api" >"$work/changes"; } 2>"$work/log" || {
		cat "$work/log" # without a failure, every package in internal/ by its name
		exit 1
	}
	echo "api: $path since $last: $([ -s "$work/changes" ] || echo nothing)"
	cat "$work/changes"
	case $last in
	v0.*) ;;
	*) ! grep -q '^Incompatible' "$work/changes" || status=3 ;;
	esac
done
exit $status
