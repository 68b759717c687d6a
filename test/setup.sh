#!/bin/sh
# setup.sh brings what the tests need beyond Go: Debian packages, when it may
# install them, and the npm packages of the interop test.
set -eu
cd "$(dirname "$0")"

missing=
need() { # command, package
	command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] || missing="$missing $2"
}
need gcc gcc
need ip iproute2
need tc iproute2
need avahi-daemon avahi-daemon
need avahi-browse avahi-utils
need dbus-daemon dbus
need strace strace
if [ -n "$missing" ]; then
	missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "the tests need these Debian packages: $missing" >&2
		exit 1
	fi
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

command -v node >/dev/null && command -v npm >/dev/null || {
	echo "the interop test needs Node.js 20 or later, with npm" >&2
	exit 1
}
# A copy of the lock file beside the packages says which ones they are.
cmp -s interop/package-lock.json interop/node_modules/.installed-lock.json || {
	(cd interop && npm ci --no-audit --no-fund --loglevel=error)
	cp interop/package-lock.json interop/node_modules/.installed-lock.json
}
