#!/bin/sh
# Changes what decides in small ways, by the version of gremlins that the argument names,
# and sees that a test notices.
#
# Vet would refuse some mutants before a test sees them. A cached result would be taken
# for the time that the tests need, and each mutant for one that hangs. --test-cpu must
# not be given: gremlins passes it on in a way that no test program understands, and
# takes each mutant for killed.
set -eu
cd "$(dirname "$0")/.."
modules=$(scripts/modules.sh | sed -n 's|^\./||p' | paste -sd '|' -)
MODEL=300 GOFLAGS='-vet=off -count=1' \
	exec go run "github.com/go-gremlins/gremlins/cmd/gremlins@$1" unleash . --invert-logical --timeout-coefficient 20 \
	-E "^($modules|client|genauthtest|storetest|tools)/" \
	-E '^internal/(answer|answertest|bounded|factortype|fieldvalue|hidden|hiddentest|mutants|page|redact|redistest|retryafter|sha1check)/' \
	-E '^(handler|middleware|config|stats|doc)\.go'
