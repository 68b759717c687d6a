#!/bin/bash
# container.sh MOUNT runs an image that is mounted there as an engine with host
# networking would, in namespaces of its own, with the environment of the image.
# Each check prints a line; the first that fails ends it.
set -u
mount=$1
log=$(mktemp)

fail() {
	echo "FAIL: $*"
	cat "$log"
	exit 1
}
pass() { echo "pass: $*"; }
elapsed() { echo $(($(date +%s%3N) - begun)); }
within() {
	local end=$(($(date +%s) + $1))
	shift
	until "$@"; do
		[ "$(date +%s)" -lt $end ] || return 1
		sleep 0.1
	done
}
answers() { # path, status code
	[ "$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:9540$1")" = "$2" ]
}

# The host's network.
ip link set lo up
ip link add eth0 type veth peer name vethfar0
ip link set vethfar0 up
ip link set eth0 up

# The root, read only, and a volume for later. The image has no /proc: an engine
# makes what it mounts on.
mount --make-rprivate /
mount -t proc proc /proc
work=$(mktemp -d)
mkdir "$work/lower" "$work/root" "$work/volume"
cp -a "$mount/." "$work/lower/"
mkdir -p "$work/lower/proc"
chmod 755 "$work" "$work/lower"
chown 65532:65532 "$work/volume"
chmod 700 "$work/volume"
mount --bind "$work/lower" "$work/root"
mount -t proc proc "$work/root/proc"
mount -o remount,bind,ro "$work/root"
touch "$work/root/x" 2>/dev/null && fail "the root can be written to"

# What becomes root in the image is none: the user's change drops capabilities.
opcredsd() {
	timeout 20 setpriv --no-new-privs --clear-groups chroot --userspec=65532:65532 "$work/root" /usr/bin/opcredsd "$@"
}

# Without a volume.
opcredsd run >"$log" 2>&1
code=$?
[ $code = 2 ] || fail "without a volume: exit status $code"
grep "/var/lib/opcredsd" "$log" | grep -qi volume || fail "without a volume it does not say why"
pass "refuses to keep the state in the container"
opcredsd healthcheck >"$log" 2>&1
code=$?
[ $code = 3 ] || fail "healthcheck without a daemon: exit status $code"
pass "healthcheck without a daemon: exit status 3"

# With one.
mount --bind "$work/volume" "$work/root/var/lib/opcredsd"
setpriv --no-new-privs --clear-groups chroot --userspec=65532:65532 "$work/root" /usr/bin/opcredsd run >"$log" 2>&1 &
pid=$!
begun=$(date +%s%3N)
within 20 answers /readyz 200 || fail "not ready"
pass "ready after $(elapsed) ms"
answers /healthz 200 || fail "/healthz"
opcredsd healthcheck >/dev/null || fail "healthcheck"
pass "healthcheck of a daemon that serves"
opcredsd pairing --output json | grep -q '"qr"' || fail "pairing"
[ "$(stat -c '%a %u' "$work/volume/opcredsd.db")" = "600 65532" ] || fail "the store is open to others"
grep -q '"msg":"ready"' "$log" || fail "the log is not JSON"
for want in "NoNewPrivs:	1" "CapEff:	0000000000000000" "Uid:	65532	65532	65532	65532"; do
	grep -qx "$want" "/proc/$pid/status" || fail "not in its status: $want"
done
pass "unprivileged, on a root that cannot be written to"

# A daemon that hangs is unhealthy.
kill -STOP $pid
within 5 grep -q "^State:	T" "/proc/$pid/status" || fail "not stopped"
begun=$(date +%s%3N)
opcredsd healthcheck >/dev/null 2>&1 && fail "a daemon that hangs is healthy"
[ "$(elapsed)" -lt 5000 ] || fail "the health check of a daemon that hangs took $(elapsed) ms; the engine waits 5 s"
pass "a daemon that hangs is unhealthy, after $(elapsed) ms"
kill -CONT $pid

# The end.
begun=$(date +%s%3N)
kill -TERM $pid
wait $pid
code=$?
[ $code = 0 ] || fail "SIGTERM: exit status $code"
[ "$(elapsed)" -lt 5000 ] || fail "the end took $(elapsed) ms"
pass "ends $(elapsed) ms after SIGTERM, exit status 0"
umount "$work/root/var/lib/opcredsd" "$work/root/proc" "$work/root" && rm -r "$work" "$log"
echo "all passed"
