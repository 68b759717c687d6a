#!/bin/sh
# licenses.sh prints the licences of everything that is linked into opcredsd: the
# Go modules' and Go's own. It fails if a module has none.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}

heading() {
	printf '\n%s\n%s\n' "$1" ----------------------------------------------------------------
}

echo "opcredsd is made with the following software, under these licences."
heading "The Go programming language and its standard library"
cat "$($go env GOROOT)/LICENSE"

# The template prints module, version and folder, for all architectures.
list='{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}'
for arch in amd64 arm64 arm; do
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch $go list -deps -f "$list" ./cmd/opcredsd
done | sort -u | sed '/^$/d' | while read -r module version dir; do
	heading "$module $version"
	found=
	for f in "$dir"/LICEN[SC]E* "$dir"/COPYING* "$dir"/NOTICE*; do
		[ -f "$f" ] || continue
		found=yes
		cat "$f"
	done
	[ "$found" ] || { echo "licenses.sh: no licence found in $dir" >&2; exit 1; }
done
