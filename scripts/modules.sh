#!/bin/sh
# Lists the folders of all modules but tools, which only pins the linters, and but those
# that need a newer Go than this one, where GOTOOLCHAIN forbids to fetch it: these are
# named on standard error.
set -eu
cd "$(dirname "$0")/.."
for dir in $(find . -name go.mod -not -path './tools/*' -not -path '*/node_modules/*' -exec dirname {} \; | sort); do
	if said=$(cd "$dir" && go list -m 2>&1 >/dev/null); then
		echo "$dir"
	else
		case $said in
		*"requires go >="*) echo "modules.sh: left out: $said" >&2 ;;
		*) echo "$dir" ;;
		esac
	fi
done
