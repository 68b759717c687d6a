#!/bin/bash
# Runs in a Debian that has booted without a network, with the daemon enabled, after
# multi-user.target: that it runs at all is the first check.
# shellcheck source=test/packaging/testdata/checks.sh
. /root/checks.sh

pass "booted without a network: $(systemctl is-active multi-user.target)"
is active || fail "the unit is $(systemctl is-active $unit)"
[ "$(property NRestarts)" = 0 ] || fail "restarted"
answers /healthz 200 || fail "/healthz says $(http /healthz)"
answers /readyz 503 || fail "/readyz says $(http /readyz)"
[[ $(property StatusText) == *"not announced"*"no network interface"* ]] || fail "status text: $(property StatusText)"
pass "status text: $(property StatusText)"
opcredsd healthcheck && fail "healthy for controllers without a network"
begun=$(date +%s%3N)
timeout 30 systemctl restart $unit || fail "restart without a network"
[ "$(elapsed)" -lt 10000 ] || fail "a restart took $(elapsed) ms"
pass "restarted without a network in $(elapsed) ms"
echo "all passed"
