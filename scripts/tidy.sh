#!/bin/sh
# Runs go mod tidy in every module, or with -diff tells what it would change. Without
# -diff it also makes go.mod and go.work of a published module what a release needs, so
# that a new module begins with a replace, and loses it here.
#
# Published modules require modules of this repository at the version that the next release
# has, which cannot be downloaded yet, and go mod tidy reads no go.work. It gets what it
# needs from a copy of go.mod, with what go.work replaces. Sums of modules of this
# repository are in no go.sum: every checkout has go.work.
set -eu
cd "$(dirname "$0")/.."
mode=${1:-}
own=github.com/echomfa/echomfa
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# required MODULE lists what it requires of this repository: path and version.
required() { sed -nE "s#^(require |	)(${own}[a-z0-9/]*) (v[^ ]+)( // indirect)?\$#\2 \3#p" "$1/go.mod"; }

# without_own FILE drops every replace of a module of this repository.
without_own() {
	sed -nE "s#^(replace |	)(${own}[a-z0-9/]*)( v[^ ]+)? => .*#-dropreplace=\2#p" "$1" | while read -r flag; do
		(cd "$(dirname "$1")" && go mod edit "$flag" "$(basename "$1")")
	done
}

# beside PATH is where the module at a path is, seen from another one than the root.
beside() {
	if [ "$1" = "$own" ]; then
		echo ..
	else
		echo "../${1#"$own"/}"
	fi
}

work_file() { # work_file MODULE, from its go.mod
	grep '^go ' "$1/go.mod"
	printf '\nuse (\n\t.\n'
	required "$1" | while read -r path _; do printf '\t%s\n' "$(beside "$path")"; done
	printf ')\n'
	required "$1" | while read -r path version; do printf '\nreplace %s %s => %s\n' "$path" "$version" "$(beside "$path")"; done
}

modules=$(scripts/modules.sh)
published=$(scripts/modules.sh published)
version=$(for module in $published; do required "$module"; done | cut -d ' ' -f 2 | sort -V | tail -n 1)
for module in $modules; do
	if [ -z "$mode" ]; then
		required "$module" | while read -r path _; do go mod edit -require="$path@$version" "$module/go.mod"; done
	fi
	if ! echo "$published" | grep -qx "$module" || [ "$module" = . ]; then
		# shellcheck disable=SC2086 # no mode is no word
		(cd "$module" && go mod tidy $mode)
		continue
	fi
	cp "$module/go.mod" "$module/go.sum" "$work"
	without_own "$work/go.mod"
	for other in $published; do
		path=$(sed -n 's/^module //p' "$other/go.mod")
		[ "$other" = "$module" ] || (cd "$work" && go mod edit -replace="$path=$(beside "$path")" go.mod)
	done
	# shellcheck disable=SC2086 # no mode is no word
	(cd "$module" && GOWORK=off go mod tidy $mode -modfile="$work/go.mod")
	[ -z "$mode" ] || continue
	without_own "$work/go.mod"
	# Comments about the replace go with it.
	sed -e '/^\/\/ The tree around this module/,/^[^\/]/{/^\/\//d}' "$work/go.mod" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >"$module/go.mod"
	cp "$work/go.sum" "$module"
	work_file "$module" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >"$module/go.work"
done
