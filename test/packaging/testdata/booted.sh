#!/bin/bash
# Runs in a booted Debian without a network, as the only service that the test
# adds. Each check prints a line; the first that fails ends it.
set -u
deb=$(echo /root/opcredsd_*.deb)

# shellcheck source=test/packaging/testdata/checks.sh
. /root/checks.sh

# Without a network, as the quickstart has it.
cd /root || fail "no /root"
begun=$(date +%s%3N)
timeout 60 sh -ex install.sh </dev/null || fail "the installation of the quickstart"
[ "$(elapsed)" -lt 30000 ] || fail "the installation waited for the network: $(elapsed) ms"
pass "installed in $(elapsed) ms, without a network"
within 20 answers /healthz 200 || fail "the daemon did not come up"
within 20 test -S /run/opcredsd/admin.sock || fail "no admin socket"
within 20 is active || fail "without a network the unit is $(systemctl is-active $unit)"
answers /readyz 503 || fail "/readyz says $(http /readyz) without a network"
[ "$(property NRestarts)" = 0 ] || fail "restarted"
pass "starts without a network, healthy and not ready"

# The network comes.
begun=$(date +%s%3N)
ip link add eth0 type veth peer name vethfar0
ip link set vethfar0 up
ip link set eth0 up
within 30 answers /readyz 200 || fail "/readyz says $(http /readyz) with a network"
pass "ready $(elapsed) ms after the network came"
announced() { [[ $(property StatusText) == *fabrics* && $(property StatusText) != *"not announced"* ]]; }
within 5 announced || fail "status text: $(property StatusText)"
pass "status text: $(property StatusText)"
opcredsd healthcheck --config /etc/opcredsd/config.yaml || fail "healthcheck"
pass "healthcheck of root"

# Who it is and what it may.
pid=$(property MainPID)
[ "$(ps -o user= -p "$pid")" = opcredsd ] || fail "runs as $(ps -o user= -p "$pid")"
for want in "NoNewPrivs:	1" "Seccomp:	2" "CapBnd:	0000000000000000" "CapEff:	0000000000000000"; do
	grep -qx "$want" "/proc/$pid/status" || fail "not in /proc/$pid/status: $want"
done
grep -q "^Max core file size *0 *0" "/proc/$pid/limits" || fail "may dump core"
mode() { stat -c '%a %U:%G' "$1"; }
[ "$(mode /var/lib/opcredsd)" = "700 opcredsd:opcredsd" ] || fail "state directory: $(mode /var/lib/opcredsd)"
[ "$(mode /var/lib/opcredsd/opcredsd.db)" = "600 opcredsd:opcredsd" ] || fail "store: $(mode /var/lib/opcredsd/opcredsd.db)"
[ "$(mode /run/opcredsd)" = "750 opcredsd:opcredsd" ] || fail "runtime directory: $(mode /run/opcredsd)"
[ "$(mode /run/opcredsd/admin.sock)" = "600 opcredsd:opcredsd" ] || fail "admin socket: $(mode /run/opcredsd/admin.sock)"
[ "$(mode /run/opcredsd/bridge.sock)" = "660 opcredsd:opcredsd" ] || fail "bridge socket: $(mode /run/opcredsd/bridge.sock)"
pass "an unprivileged user, files closed to others"
useradd --groups opcredsd member || fail "useradd"
useradd stranger || fail "useradd"
as() { # user, then a command
	local user=$1
	shift
	setpriv --reuid "$user" --regid "$user" --init-groups "$@"
}
connects() { # user, socket
	as "$1" perl -MIO::Socket::UNIX -e 'exit !IO::Socket::UNIX->new(Peer => shift)' "$2"
}
connects member /run/opcredsd/bridge.sock || fail "a member of the group cannot reach the bridge"
connects stranger /run/opcredsd/bridge.sock && fail "anybody can reach the bridge"
connects member /run/opcredsd/admin.sock && fail "a member of the group can reach the operator's socket"
pass "the group opcredsd reaches the bridge, and nothing else"
useradd --groups opcredsd-status reader || fail "useradd"
[ "$(mode /run/opcredsd-status/status.sock)" = "660 opcredsd:opcredsd-status" ] || fail "status socket: $(mode /run/opcredsd-status/status.sock)"
as reader opcredsd status >/dev/null || fail "status for a reader"
as reader opcredsd devices list >/dev/null || fail "the devices for a reader"
as reader opcredsd healthcheck || fail "healthcheck for a reader"
for command in pairing 'window open' 'factory-reset --yes' 'store backup -' reload 'log-level debug' 'fabrics remove 1'; do
	# shellcheck disable=SC2086 # words
	as reader opcredsd $command </dev/null 2>/root/said >/root/said.out && fail "a reader may $command"
	grep -q "only root and the daemon's own user" /root/said || fail "$command for a reader: $(cat /root/said)"
	[ -s /root/said.out ] && fail "$command prints something for a reader"
done
for user in member stranger; do
	as $user opcredsd status >/dev/null 2>&1 && fail "$user may ask for the status"
done
connects reader /run/opcredsd/bridge.sock && fail "a reader can reach the bridge"
pass "the group opcredsd-status may look, and change nothing"
opcredsd pairing >/dev/null || fail "pairing, without naming the configuration"
pass "root's commands find the daemon"

# Reload, without a kill: a minimal Debian has none.
mv /bin/kill /bin/kill.away
systemctl reload $unit || fail "reload"
echo 'expose: ["*", "!demo:*"]' >>/etc/opcredsd/config.yaml
opcredsd reload | grep -q 'changed: expose$' || fail "the reload does not say what has changed"
echo 'max_fabrics: 3' >>/etc/opcredsd/config.yaml
line=$(wc -l </etc/opcredsd/config.yaml)
systemctl reload $unit && fail "a reload of a wrong configuration succeeded"
said=$(opcredsd reload 2>&1)
[ $? = 2 ] || fail "opcredsd reload of a wrong configuration: exit status $?"
[[ $said == *"/etc/opcredsd/config.yaml:$line: max_fabrics"* ]] || fail "opcredsd reload says: $said"
journalctl --no-pager -u $unit | grep -q "config.yaml:$line: max_fabrics.*254" || fail "the log does not say what is wrong"
sed -i '/^expose/d;/^max_fabrics: 3/d' /etc/opcredsd/config.yaml
systemctl reload $unit || fail "reload"
mv /bin/kill.away /bin/kill
[ "$(property MainPID)" = "$pid" ] || fail "a reload restarted it"
is active || fail "a reload ended it"
pass "reload; one of a wrong configuration says where and changes nothing"

# Restarts as often as somebody likes.
for _ in 1 2 3 4 5 6 7; do
	timeout 30 systemctl restart $unit || fail "restart"
done
is active || fail "after seven restarts it is $(systemctl is-active $unit)"
pass "seven restarts in a row"

# A port that is held at the start, for longer than any five starts take.
systemctl stop $unit
OPCREDSD_CONFIG="" opcredsd run --state-dir /root/other --metrics-addr "" --bridge-socket "" >/root/other.log 2>&1 &
other=$!
within 10 test -S /root/other/admin.sock || fail "no other node: $(cat /root/other.log)"
systemctl start $unit && fail "started with a port that another holds"
sleep 25
kill $other
wait $other
within 15 is active || fail "not started after the port became free"
pass "started after the port was held for 25 s"
within 10 answers /readyz 200
pid=$(property MainPID)

# A second node on the machine.
sed s/NAME/kitchen/g /usr/share/doc/opcredsd/examples/instance.yaml >/etc/opcredsd/kitchen.yaml || fail "no example of an instance"
opcredsd config check --config /etc/opcredsd/kitchen.yaml || fail "config check of an instance"
systemctl enable --now opcredsd@kitchen.service || fail "an instance does not start"
[ "$(mode /var/lib/opcredsd-kitchen)" = "700 opcredsd:opcredsd" ] || fail "state directory of an instance: $(mode /var/lib/opcredsd-kitchen)"
payload() { opcredsd pairing -o json "$@" | grep '"qr"'; }
[ "$(payload --config /etc/opcredsd/kitchen.yaml)" != "$(payload)" ] || fail "two nodes with one code"
opcredsd status --config /etc/opcredsd/kitchen.yaml | grep -q 'UDP port 5541' || fail "status of an instance"
systemctl reload opcredsd@kitchen.service || fail "reload of an instance"
connects member /run/opcredsd-kitchen/bridge.sock || fail "a member of the group cannot reach the bridge of an instance"
is active || fail "the first node is $(systemctl is-active $unit)"
pass "a second node beside it, with state, port and code of its own"

# The backup timer: a copy for each day of the week, again and again.
systemctl enable --now opcredsd-backup.timer || fail "the timer"
[ "$(systemctl is-active opcredsd-backup.timer)" = active ] || fail "the timer is $(systemctl is-active opcredsd-backup.timer)"
for _ in 1 2; do
	systemctl start opcredsd-backup.service || fail "backup: $(journalctl --no-pager -u opcredsd-backup | tail -5)"
done
copies=$(echo /var/backups/opcredsd/*)
[ "$(mode "$copies")" = "600 opcredsd:opcredsd" ] || fail "backup: $copies, $(mode "$copies")"
opcredsd store restore --dry-run "$copies" || fail "the backup is no store"
pass "backup: $copies"

# Stop: peers and caches are notified within 5 seconds.
begun=$(date +%s%3N)
systemctl stop $unit || fail "stop"
[ "$(elapsed)" -lt 5000 ] || fail "stop took $(elapsed) ms"
[ "$(property Result)" = success ] || fail "stop: $(property Result)"
[ "$(property ExecMainStatus)" = 0 ] || fail "exit status $(property ExecMainStatus)"
pass "stopped in $(elapsed) ms"

# The watchdog: a daemon that hangs is killed and started again.
mkdir -p /run/systemd/system/$unit.d
printf '[Service]\nWatchdogSec=3\nTimeoutAbortSec=2\n' >/run/systemd/system/$unit.d/test.conf
systemctl daemon-reload
systemctl start $unit || fail "start"
sleep 8
[ "$(property NRestarts)" = 0 ] || fail "the watchdog is not fed"
pass "watchdog fed for 8 s with WatchdogSec=3"
pid=$(property MainPID)
begun=$(date +%s%3N)
kill -STOP "$pid"
restarted() { is active && [ "$(property MainPID)" != "$pid" ]; }
within 40 restarted || fail "the watchdog did not restart a daemon that hangs"
[ "$(property NRestarts)" = 1 ] || fail "$(property NRestarts) restarts"
pass "a daemon that hangs was replaced after $(elapsed) ms"

# Its end by a signal: started again. ABRT is how a panic ends.
for signal in KILL ABRT; do
	pid=$(property MainPID)
	kill -$signal "$pid"
	within 40 restarted || fail "not restarted after SIG$signal"
	pass "restarted after SIG$signal"
done
rm -r /run/systemd/system/$unit.d
systemctl daemon-reload

# A wrong configuration: it stays down, and says why.
echo 'max_fabrics: 3' >>/etc/opcredsd/config.yaml
systemctl restart $unit && fail "started with a wrong configuration"
restarts=$(property NRestarts)
sleep 4
is failed || fail "with a wrong configuration it is $(systemctl is-active $unit)"
[ "$(property ExecMainStatus)" = 2 ] || fail "exit status $(property ExecMainStatus) for a wrong configuration"
[ "$(property NRestarts)" = "$restarts" ] || fail "started again with a wrong configuration: $restarts, then $(property NRestarts) restarts"
journalctl --no-pager -u $unit | grep max.fabrics | grep -q 254 || fail "the log does not name key and range"
pass "a wrong configuration: exit status 2, not started again"
sed -i '$d' /etc/opcredsd/config.yaml
echo '# mine' >>/etc/opcredsd/config.yaml
systemctl reset-failed $unit
systemctl start $unit || fail "start"

# An upgrade keeps what is the operator's, and restarts.
pid=$(property MainPID)
dpkg -i "$deb" || fail "second dpkg -i"
within 30 restarted || fail "an upgrade did not restart it"
grep -qx '# mine' /etc/opcredsd/config.yaml || fail "an upgrade overwrote the configuration"
pass "upgraded"

# Also one that is disabled and runs.
systemctl disable $unit
pid=$(property MainPID)
dpkg -i "$deb" || fail "third dpkg -i"
within 30 restarted || fail "an upgrade did not restart a daemon that is disabled and runs"
[ "$(systemctl is-enabled $unit)" = disabled ] || fail "an upgrade enabled it"
systemctl stop $unit
dpkg -i "$deb" || fail "fourth dpkg -i"
sleep 2
is inactive || fail "an upgrade started a daemon that is disabled and was stopped"
systemctl enable --now $unit || fail "enable"
pass "upgraded while disabled: what runs is restarted, what is stopped stays so"

# What root makes before or between is usable for the daemon's user.
systemctl stop $unit
opcredsd store backup /root/copy.db || fail "backup without a daemon"
opcredsd store restore /root/copy.db || fail "restore without a daemon"
systemctl start $unit || fail "does not start with a store that root restored"
pass "starts with a store that root restored"

[ "$(systemctl is-active opcredsd@kitchen.service)" = active ] || fail "the second node is $(systemctl is-active opcredsd@kitchen.service)"

# The state directory is judged for the unit.
sed -i 's|^state_dir:.*|state_dir: /srv/matter|' /etc/opcredsd/config.yaml
opcredsd config check 2>&1 | grep -q 'opcredsd.service may not write to /srv/matter.*ReadWritePaths=/srv/matter' || fail "config check: $(opcredsd config check 2>&1)"
opcredsd config check >/dev/null 2>&1 && fail "config check of a directory that the unit cannot write"
mkdir -p /srv/matter /etc/systemd/system/$unit.d
printf '[Service]\nReadWritePaths=/srv/matter\n' >/etc/systemd/system/$unit.d/place.conf
systemctl daemon-reload
opcredsd config check 2>&1 | grep -q 'chown -R opcredsd: /srv/matter' || fail "config check: $(opcredsd config check 2>&1)"
chown opcredsd: /srv/matter
chmod 700 /srv/matter
opcredsd config check || fail "config check of a directory that the unit can write"
systemctl restart $unit || fail "does not start with another directory"
[ -f /srv/matter/opcredsd.db ] || fail "no store in the other directory"
rm -r /etc/systemd/system/$unit.d
systemctl daemon-reload
sed -i 's|^state_dir:.*|state_dir: /var/lib/opcredsd|' /etc/opcredsd/config.yaml
systemctl restart $unit || fail "does not start with its own directory"
pass "another state directory, judged for the unit"

# The attestation key as a credential, as docs/install.md has it.
cd /root/material || fail "no material"
sh -ex /root/credential.sh || fail "the section on credentials"
cd /root || fail "no /root"
is active || fail "with a credential it is $(systemctl is-active $unit)"
opcredsd attestation show | grep -q 'key .*the credential dac-key' || fail "attestation: $(opcredsd attestation show)"
rm -r /etc/systemd/system/$unit.d
systemctl daemon-reload
systemctl restart $unit && fail "started without the key"
opcredsd attestation generate || fail "back to development material"
systemctl restart $unit || fail "does not start with development material"
pass "the attestation key as a credential"

# Removal keeps the state, purging does not.
dpkg -r opcredsd || fail "dpkg -r"
[ -z "$(pidof opcredsd)" ] || fail "removed and still running"
[ -f /var/lib/opcredsd/opcredsd.db ] || fail "removal took the store"
[ -f /etc/opcredsd/config.yaml ] || fail "removal took the configuration"
dpkg -P opcredsd || fail "dpkg -P"
[ -f "$copies" ] || fail "purging took the backups"
for gone in /etc/systemd/system/timers.target.wants/opcredsd-backup.timer /etc/opcredsd/devices.yaml /var/lib/opcredsd /var/lib/opcredsd-kitchen /etc/systemd/system/multi-user.target.wants/opcredsd@kitchen.service /etc/opcredsd/config.yaml /etc/systemd/system/multi-user.target.wants/$unit; do
	if [ -e "$gone" ] || [ -L "$gone" ]; then fail "purged, and $gone is there"; fi
done
pass "removed and purged"
echo "all passed"
