#!/bin/sh
# run.sh holds the daemon's bridge API to its OpenAPI document with Schemathesis, which
# makes requests up from it: some thousand, right and wrong ones. It takes the daemon to
# run, and runs it in a network namespace of its own. The stream of commands is left out,
# as it does not end; and one check is, that what the document allows is accepted: which
# values and options a part may have depends on its type, which no schema says.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
daemon=$(realpath "${1:-$here/../../../bin/opcredsd}")
if [ "${IN_NAMESPACE:-}" = "" ]; then
	export IN_NAMESPACE=yes
	exec unshare -rn "$here/run.sh" "$daemon"
fi
ip link set lo up
state=$(mktemp -d)
pid=
trap 'kill $pid 2>/dev/null || true; rm -rf "$state"' EXIT
umask 077
echo 0123456789abcdef >"$state/token"
"$daemon" run --state-dir "$state" --metrics-addr "" --bridge-addr 127.0.0.1:8399 --bridge-token-file "$state/token" >"$state/log" 2>&1 &
pid=$!
cd "$state" # where it leaves its notes
"$here/.venv/bin/st" run http://127.0.0.1:8399/v1/openapi.json --wait-for-schema 20 --header "Authorization: Bearer 0123456789abcdef" \
	--exclude-path /v1/commands --checks all --exclude-checks positive_data_acceptance --seed "${SEED:-1}" --max-examples "${EXAMPLES:-100}" --suppress-health-check all --warnings off
kill -0 $pid # it is alive
