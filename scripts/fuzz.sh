#!/bin/sh
# Runs every fuzz target of every module, as often or as long as the argument says:
# 1000x, 30s.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
log=$(mktemp)
trap 'rm -f "$log"' EXIT

modules=$(scripts/modules.sh)
for module in $modules; do
	folders=$(cd "$module" && go list -f '{{.Dir}}' ./...)
	for folder in $folders; do
		cd "$folder"
		# Not every folder has tests.
		targets=$(cat ./*_test.go 2>/dev/null | sed -nE 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/p')
		for target in $targets; do
			echo "fuzz $target"
			go test -run='^$' -fuzz="^$target\$" -fuzztime="$1" . >"$log" 2>&1 || {
				cat "$log"
				exit 1
			}
		done
		cd "$root"
	done
done
