#!/bin/sh
# Runs every benchmark in interleaved passes and prints the tables. What was
# measured is kept in bench/out.txt, for benchstat.
set -eu
cd "$(dirname "$0")"
passes=${1:-8}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

go test -c -o "$work/bench.test" .
go build -o "$work/e2e" ./e2e
: >out.txt
pass=0
while [ "$pass" -lt "$passes" ]; do
	pass=$((pass + 1))
	echo "pass $pass of $passes" >&2
	"$work/bench.test" -test.run '^$' -test.bench 'Hit/token|Miss|Decode|Policy|Denial' -test.benchtime 100ms >>out.txt
	"$work/bench.test" -test.run '^$' -test.bench 'ParallelHit' -test.benchtime 100ms >>out.txt
	"$work/bench.test" -test.run '^$' -test.bench 'Stampede|ColdTokens' -test.benchtime 5x >>out.txt
	# These do not vary much, and take long.
	if [ "$pass" -le 2 ]; then
		"$work/bench.test" -test.run '^$' -test.bench 'Memory' -test.benchtime 8x >>out.txt
		"$work/bench.test" -test.run '^$' -test.bench 'HitRatio' -test.benchtime 1x >>out.txt
		"$work/bench.test" -test.run '^$' -test.bench 'Invalidation' -test.benchtime 100ms >>out.txt
	fi
	"$work/e2e" -passes 1 >>out.txt
done
go run ./tables out.txt
