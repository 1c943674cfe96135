#!/bin/sh
# Fails if a file is not formatted, if vet finds something on macOS or Windows, if a go.mod is not
# tidy, or if a workflow uses an action that no commit pins.
set -eu
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "not formatted by gofmt:"
	echo "$unformatted"
	exit 1
fi

scripts/tidy.sh -diff

# The root module's tests run on these, too. What vet says on Linux, the linters say.
for os in darwin windows; do
	GOOS=$os go vet ./...
done

if grep -rn 'uses:' .github/workflows | grep -vE 'uses: \./|@[0-9a-f]{40} # v[0-9.]+$'; then
	echo "not pinned by a commit, with its version in a comment"
	exit 1
fi
