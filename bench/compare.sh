#!/bin/sh
# Compares the hit path with that of a revision, by the ratio to bare Echo in the
# same interleaved run. Fails if it has become slower by over 10 %. What other work the
# machine has only adds to a time, so that the least of all passes says most.
set -eu
cd "$(dirname "$0")/.."
revision=$1
passes=${2:-5}
work=$(mktemp -d)
trap 'git worktree remove --force "$work/old" 2>/dev/null || true; rm -rf "$work"' EXIT

git worktree add -q --detach "$work/old" "$revision"
rm -rf "$work/old/bench"
cp -R bench "$work/old/bench" # today's benchmarks, that revision's library and what it needs
if [ ! -d "$work/old/echov5" ]; then # it is younger than the revision
	rm "$work/old/bench/echov5_test.go"
	(cd "$work/old/bench" && go mod edit -droprequire=github.com/echomfa/echomfa/echov5 -dropreplace=github.com/echomfa/echomfa/echov5)
fi
if [ ! -d "$work/old/otelmfa" ]; then # and so may this one be
	rm "$work/old/bench/otel_test.go"
	(cd "$work/old/bench" && go mod edit -droprequire=github.com/echomfa/echomfa/otelmfa -dropreplace=github.com/echomfa/echomfa/otelmfa)
fi
cat "$work/old/go.sum" >>"$work/old/bench/go.sum"
(cd bench && go test -c -o "$work/new.test" .)
(cd "$work/old/bench" && go test -mod=mod -c -o "$work/old.test" .)
pass=0
while [ "$pass" -lt "$passes" ]; do
	pass=$((pass + 1))
	echo "pass $pass of $passes" >&2
	for side in old new; do
		"$work/$side.test" -test.run '^$' -test.bench '^BenchmarkHit$/token=.*/peer=(bare|echomfa)' -test.benchtime 50ms >>"$work/$side.txt"
	done
done
cd bench && go run ./tables -compare "$work/old.txt" "$work/new.txt"
