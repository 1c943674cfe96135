#!/bin/sh
# Runs every test of every module. First it lists what is missing; as root on
# Debian it installs that, otherwise it prints the one install command and stops
# with status 2 before any test.
set -eu
cd "$(dirname "$0")"

missing=""
packages=""
need() { # need COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 && return 0
	missing="$missing $1"
	packages="$packages $2"
}

if ! command -v go >/dev/null 2>&1; then
	echo "test.sh: Go 1.25 or newer is missing: see https://go.dev/doc/install" >&2
	exit 2
fi
# The race detector needs a C compiler, and the C library's headers, which Debian
# only recommends beside it.
if ! echo '#include <stdlib.h>' | $(go env CC) -E - >/dev/null 2>&1; then
	missing="$missing C-compiler"
	packages="$packages gcc libc6-dev"
fi
if [ -d redisstore ]; then
	need redis-server redis-server
	need redis-cli redis-tools
fi
if [ -d integration ]; then
	need git git
	need npm npm
	need node nodejs
	need chromium-headless-shell chromium-headless-shell
	need nginx nginx-light
	# What make slow needs beside that.
	[ -z "${SLOW:-}" ] || need firefox-esr firefox-esr
	[ -z "${SLOW:-}" ] || need ssh-keygen openssh-client
fi

if [ -n "$missing" ]; then
	echo "test.sh: missing:$missing"
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
		# Packages start their services, unless this says that they must not. The
		# tests start what they need themselves.
		(
			policy=/usr/sbin/policy-rc.d
			if [ ! -e "$policy" ]; then
				trap 'rm -f "$policy"' EXIT
				printf '#!/bin/sh\nexit 101\n' >"$policy"
				chmod +x "$policy"
			fi
			apt-get update -qq
			# shellcheck disable=SC2086 # a word for each package
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
		)
	else
		echo "test.sh: install it with: sudo apt-get update && sudo apt-get install -y --no-install-recommends$packages" >&2
		exit 2
	fi
fi

# Under the race detector a history of the model takes ten times as long. All of
# them, without it: make model.
MODEL=${MODEL:-1000}
export MODEL

# Without what debuggers read, a test program is linked in half the time.
failed=""
modules=$(scripts/modules.sh)
for dir in $modules; do
	echo "== $dir"
	(cd "$dir" && CGO_ENABLED=1 GOFLAGS=-mod=readonly go test -race -shuffle=on -timeout 60m -ldflags=-w ./...) || failed="$failed $dir"
done
if [ -n "$failed" ]; then
	echo "test.sh: failed in:$failed" >&2
	exit 1
fi
echo "test.sh: all modules passed"
