#!/bin/sh
# Lists the folders of all modules but tools, which only pins tools. With "published" it
# lists those that a release tags, the root first: all modules but those that nobody
# imports. So a new module is published, unless it is named here. Left out, and named on
# standard error, is what needs a newer Go than this one, where GOTOOLCHAIN forbids to
# fetch it.
set -eu
cd "$(dirname "$0")/.."
unpublished='bench|examples|integration'

all=$(find . -name go.mod -not -path './tools/*' -not -path './dist/*' -not -path '*/node_modules/*' -exec dirname {} \; | sort | while read -r dir; do
	case $(cd "$dir" && GOWORK=off go list -m 2>&1 >/dev/null || true) in
	*"requires go >="*) echo "modules.sh: $dir is left out: it needs a newer Go than $(go env GOVERSION)" >&2 ;;
	*) echo "$dir" ;;
	esac
done)
case ${1:-} in
published) echo "$all" | grep -vxE "\./($unpublished)" ;;
*) echo "$all" ;;
esac
