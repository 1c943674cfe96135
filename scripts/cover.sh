#!/bin/sh
# Measures statement coverage over the root module and enroll. What decides about a
# request, the files of scripts/cover-whole.txt, is covered whole; the rest must not
# fall below 90 %. A block counts as covered if any of the tests has run it.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

run() { # run FOLDER PACKAGES PROFILE
	(cd "$1" && go test -coverpkg="$2" -coverprofile="$work/$3" ./... >"$work/log" 2>&1) || {
		cat "$work/log"
		exit 1
	}
}

root=github.com/echomfa/echomfa
MODEL=1000
export MODEL
run . ./client,./genauthtest,./internal/...,. root
# What enroll's tests run of the root module, beside enroll.
run enroll "./...,$root,$root/client,$root/genauthtest,$root/internal/..." enroll

awk -v root="$root/" '
	FILENAME ~ /cover-whole.txt$/ { if (!/^#/ && NF) whole[$1]; next }
	!/^mode:/ { size[$1] = $2; if ($3 > 0) hit[$1] }
	END {
		for (block in size) {
			split(block, at, ":")
			file = at[1]
			if (index(file, root) == 1) file = substr(file, length(root) + 1)
			total += size[block]
			if (block in hit) covered += size[block]
			if (file in whole) {
				seen[file]
				if (!(block in hit)) { print "not covered: " file ":" at[2]; bad = 1 }
			}
		}
		for (file in whole) if (!(file in seen)) { print "not in the profile: " file; bad = 1 }
		printf "statements covered: %.1f %%\n", 100 * covered / total
		exit bad || covered < 0.9 * total
	}' scripts/cover-whole.txt "$work/root" "$work/enroll"
