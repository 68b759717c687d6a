#!/bin/sh
# setup.sh brings what the tests need beyond Go: Debian packages, when it may
# install them, and the npm packages of the interop test. "setup.sh packaging"
# brings what the whole of test/packaging needs too, "setup.sh homeassistant",
# "setup.sh zigbee2mqtt" and "setup.sh certification" what TestHomeAssistant,
# TestZigbee2MQTT and TestCertification do.
set -eu
cd "$(dirname "$0")"

missing=
need() { # command, package
	command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] || missing="$missing $2"
}
need curl curl
need gcc gcc
need ip iproute2
need tc iproute2
need iptables iptables
need chromium chromium
need avahi-daemon avahi-daemon
need avahi-browse avahi-utils
need dbus-daemon dbus
need systemd-analyze systemd
need mosquitto mosquitto
need openssl openssl
need promtool prometheus
need python3 python3
need shellcheck shellcheck
if [ "${1:-}" = packaging ]; then
	need apt-ftparchive apt-utils
	need buildah buildah
	need busybox busybox-static
	need debootstrap debootstrap
	need gpg gnupg
	need lintian lintian
	need minisign minisign
	need qemu-aarch64-static qemu-user-static
	need systemd-nspawn systemd-container
	need unshare util-linux
fi
if [ -e "interop/${1:-}/requirements.txt" ]; then
	need python3 "python3 python3-venv"
	[ -e "/usr/lib/$(uname -m)-linux-gnu/libnl-route-3.so.200" ] || missing="$missing libnl-route-3-200"
fi
if [ -n "$missing" ]; then
	# shellcheck disable=SC2086 # one word a package
	missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "the tests need these Debian packages: $missing" >&2
		exit 1
	fi
	# Nothing that is installed is to be started: the tests start what they need.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod +x $policy
		trap 'rm -f $policy' EXIT
	fi
	apt-get update -qq
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	echo "the interop test needs Node.js 20 or later, with npm" >&2
	exit 1
fi
# A copy of the lock file beside the packages says which ones they are.
packages() { # folder, options of npm ci
	cmp -s "$1/package-lock.json" "$1/node_modules/.installed-lock.json" || {
		(cd "$1" && npm ci --no-audit --no-fund --loglevel=error ${2:+"$2"})
		cp "$1/package-lock.json" "$1/node_modules/.installed-lock.json"
	}
}
packages interop ""
# Nothing native is needed: the serial port is never opened.
[ -z "${1:-}" ] || [ ! -e "interop/$1/package-lock.json" ] || packages "interop/$1" --ignore-scripts

wanted=interop/${1:-}/requirements.txt
venv=interop/${1:-}/.venv
[ -e "$wanted" ] || exit 0
cmp -s "$wanted" "$venv/.installed" || {
	python3 -m venv --clear "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check --prefer-binary -r "$wanted"
	cp "$wanted" "$venv/.installed"
}
