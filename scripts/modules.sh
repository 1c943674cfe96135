#!/bin/sh
# Lists the folders of all modules but tools, which only pins tools. With "published" it
# lists those that a release tags, the root first: all modules but those that nobody
# imports. So a new module is published, unless it is named here.
set -eu
cd "$(dirname "$0")/.."
unpublished='bench|examples|integration'

all=$(find . -name go.mod -not -path './tools/*' -not -path './dist/*' -not -path '*/node_modules/*' -exec dirname {} \; | sort)
case ${1:-} in
published) echo "$all" | grep -vxE "\./($unpublished)" ;;
*) echo "$all" ;;
esac
