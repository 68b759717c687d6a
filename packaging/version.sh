#!/bin/sh
# version.sh prints the version of this checkout: that of the tag it is at, else
# one that sorts after the last tag (1.2.0+4.1a2b3c4d5e6f), or before the first
# release (0.0.0-dev.20260131.42.1a2b3c4d5e6f: the day, and the number of commits).
set -eu
cd "$(dirname "$0")/.."
if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
	count=$(git rev-list --count "$tag..HEAD")
	[ "$count" = 0 ] && echo "${tag#v}" || echo "${tag#v}+$count.$(git rev-parse --short=12 HEAD)"
else
	day=$(TZ=UTC git log -1 --date=format-local:%Y%m%d --format=%cd)
	echo "0.0.0-dev.$day.$(git rev-list --count HEAD).$(git rev-parse --short=12 HEAD)"
fi
