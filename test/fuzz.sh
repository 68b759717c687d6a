#!/bin/sh
# Runs every fuzz target of the repository for FUZZTIME (default 10s), or with
# arguments only those whose package or name has one of the words:
#
#   FUZZTIME=2m test/fuzz.sh
#   test/fuzz.sh FuzzServer pkg/im
#
# What a target finds stays in its package's testdata/fuzz, as a seed to commit.
# The targets are read off the tests: one that is new is run.
# Minimizing is cut short: timers and random keys make the coverage of a sequence vary,
# and it would go on for ever.
set -eu
cd "$(dirname "$0")/.."
time=${FUZZTIME:-10s}
go=${GO:-go}

# Stores in memory: a fuzzer is not here to wear out a disk.
[ -z "${TMPDIR:-}" ] && [ -d /dev/shm ] && [ -w /dev/shm ] && export TMPDIR=/dev/shm

failed= n=0
for pkg in $(grep -rl --include='*_test.go' '^func Fuzz' cmd internal pkg | xargs -n1 dirname | sort -u); do
    for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(f \*testing\.F).*/\1/p' "$pkg"/*_test.go); do
        if [ $# -gt 0 ]; then
            wanted=
            for word in "$@"; do
                case "$pkg $target" in *"$word"*) wanted=1 ;; esac
            done
            [ "$wanted" ] || continue
        fi
        n=$((n + 1))
        printf '== %s %s\n' "$pkg" "$target"
        $go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 2s ${FUZZPARALLEL:+-parallel "$FUZZPARALLEL"} "./$pkg" || failed="$failed $pkg:$target"
    done
done
[ "$n" -gt 0 ] || { echo "no such fuzz target: $*" >&2; exit 2; }
if [ "$failed" ]; then
    echo "failed:$failed" >&2
    exit 1
fi
echo "$n fuzz targets, $time each: nothing found"
