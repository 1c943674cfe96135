#!/bin/sh
# Lists the folders of all modules but tools, which only pins the linters.
set -eu
cd "$(dirname "$0")/.."
find . -name go.mod -not -path './tools/*' -not -path '*/node_modules/*' -exec dirname {} \; | sort
