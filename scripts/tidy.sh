#!/bin/sh
# Runs go mod tidy in every module, or with -diff tells what it would change.
#
# Modules with a go.work require modules of this repository at the version that the next
# release has, which cannot be downloaded yet, and go mod tidy reads no go.work. It gets
# what it needs from a copy of go.mod, with what go.work replaces. Sums of modules of this
# repository are in no go.sum: every checkout has go.work.
set -eu
cd "$(dirname "$0")/.."
mode=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

modules=$(scripts/modules.sh)
for module in $modules; do
	(
		cd "$module"
		if [ ! -e go.work ]; then
			# shellcheck disable=SC2086 # no mode is no word
			go mod tidy $mode
			exit
		fi
		cp go.mod go.sum "$work"
		sed -nE 's|^(replace)?[[:space:]]*([a-z][^ ]+) v[^ ]+ => (.+)$|\2 \3|p' go.work >"$work/local"
		while read -r path folder; do
			(cd "$work" && go mod edit -replace="$path=$folder" go.mod)
		done <"$work/local"
		# shellcheck disable=SC2086 # no mode is no word
		GOWORK=off go mod tidy $mode -modfile="$work/go.mod"
		[ -z "$mode" ] || exit 0
		while read -r path _; do
			(cd "$work" && go mod edit -dropreplace="$path" go.mod)
		done <"$work/local"
		cp "$work/go.mod" "$work/go.sum" .
	)
done
