#!/bin/bash
# What the scripts that run in a booted Debian have in common. Each check prints a line;
# the first that fails ends it.
set -u
unit=opcredsd.service
begun=0

fail() {
	echo "FAIL: $*"
	systemctl --no-pager --full status $unit
	journalctl --no-pager -u $unit | tail -40
	exit 1
}
pass() { echo "pass: $*"; }
property() { systemctl show --property="$1" --value $unit; }
elapsed() { echo $(($(date +%s%3N) - begun)); }
# within SECONDS COMMAND...: until the command succeeds
within() {
	local end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt $end ] || return 1
		sleep 0.1
	done
}
is() { [ "$(systemctl is-active $unit)" = "$1" ]; }
http() { # path: prints the status code
	exec 3<>/dev/tcp/127.0.0.1/9540 || return 1
	printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3
	local code
	read -r _ code _ <&3
	exec 3<&-
	echo "$code"
}
answers() { [ "$(http "$1" 2>/dev/null)" = "$2" ]; }
