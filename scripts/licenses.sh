#!/bin/sh
# Holds the licenses of all dependencies, also those of tests, examples and measurements,
# against scripts/licenses.txt, and THIRD_PARTY_NOTICES against what an app links that
# uses the published modules. With "write", writes THIRD_PARTY_NOTICES instead.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
own=github.com/echomfa/echomfa
tool=$(scripts/tool.sh go-licenses)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo '{{range .}}{{.Name}} {{.Version}} {{.LicenseName}} {{.LicensePath}}
{{end}}' >"$work/template"

report() { # report MODULE FLAG...
	(
		cd "$1"
		shift
		go list -deps -test ./... >"$work/log" 2>&1 || { # downloads what is missing
			cat "$work/log" >&2
			exit 1
		}
		# It would ask many hosts for addresses of licenses, which nothing here uses: a
		# proxy that is not there answers at once.
		HTTP_PROXY=http://127.0.0.1:1 HTTPS_PROXY=http://127.0.0.1:1 "$tool" report "$@" --ignore "$own" --template "$work/template" ./... 2>"$work/log" || {
			cat "$work/log" >&2
			exit 1
		}
	) | sed '/^$/d'
}

modules=$(scripts/modules.sh published)
for module in $modules; do
	report "$module" >>"$work/linked"
done
# The text of a license, once for all modules that have it word for word.
sort -u "$work/linked" | while read -r name _ license file; do
	echo "$name $license $(cksum <"$file" | tr ' ' '-') $file"
done | sort -u -k 1,3 | sort -s -k 3,3 >"$work/texts"
{
	cat scripts/notices.txt
	printf '\n%s\n\n' '================================================================================'
	cat enroll/regions.LICENSE
	awk '{ print $3 }' "$work/texts" | uniq | while read -r sum; do
		grep " $sum " "$work/texts" | awk '{ print $1 " (" $2 ")" }' | LC_ALL=C sort -u >"$work/names"
		echo "$(head -n 1 "$work/names")	$sum"
	done | LC_ALL=C sort | while IFS='	' read -r _ sum; do
		printf '\n%s\n\n' '================================================================================'
		grep " $sum " "$work/texts" | awk '{ print $1 " (" $2 ")" }' | LC_ALL=C sort -u
		echo
		grep " $sum " "$work/texts" | cut -d ' ' -f 4 >"$work/files"
		tr -d '\r' <"$(head -n 1 "$work/files")"
		while read -r file; do # the Apache License wants this passed on, too
			notice=$(dirname "$file")/NOTICE
			[ ! -e "$notice" ] || { echo && cat "$notice"; }
		done <"$work/files"
	done
} >"$work/notices"
if [ "${1:-}" = write ]; then
	cp "$work/notices" THIRD_PARTY_NOTICES
	exit
fi

failed=""
modules=$(scripts/modules.sh)
for module in $modules; do
	report "$module" --include_tests | sed "s|^|$module |" >>"$work/all"
done
grep -v '^#' scripts/licenses.txt >"$work/allowed"
awk 'FNR == NR { allowed[$1]; next } !($4 in allowed) { print "licenses: " $1 " uses " $2 " " $3 ", whose license is " $4; bad = 1 } END { exit bad }' \
	"$work/allowed" "$work/all" || failed=yes
diff -u "$root/THIRD_PARTY_NOTICES" "$work/notices" >"$work/diff" || {
	echo "licenses: THIRD_PARTY_NOTICES is not what apps link: run make notices"
	cat "$work/diff"
	failed=yes
}
[ -z "$failed" ] || exit 1
echo "licenses: $(awk '{ print $2 }' "$work/all" | sort -u | wc -l) dependencies, all allowed by scripts/licenses.txt"
