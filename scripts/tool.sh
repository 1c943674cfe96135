#!/bin/sh
# Builds the tool of tools/go.mod that the argument names, unless it is there already, and
# prints where it is. A workspace allows no -modfile, so that `go tool` cannot run it in a
# module that has one. The tools ask for the newest Go, whichever builds echomfa.
set -eu
cd "$(dirname "$0")/.."
GOTOOLCHAIN=auto GOWORK=off GOFLAGS=-mod=readonly exec go tool -modfile=tools/go.mod -n "$1"
