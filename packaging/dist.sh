#!/bin/sh
# dist.sh builds a release: for each architecture a tarball, a Debian package and a bill of
# materials (CycloneDX), and the checksums of all files.
#
#	packaging/dist.sh [FOLDER]      (default: dist)
#
# From the environment: VERSION (default: what version.sh prints), COMMIT (the checkout's),
# ARCHES (amd64 arm64 armv7), SOURCE_DATE_EPOCH (the time of the last commit), MAINTAINER
# of the Debian packages, GO. MINISIGN_KEY is the file of the secret key that signs the
# checksums. The same source, Go and version give the same bytes.
set -eu
umask 022
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/dist}
mkdir -p "$out"
rm -f "$out"/opcredsd[-_]* "$out"/SHA256SUMS*
out=$(cd "$out" && pwd)
cd "$root"
go=${GO:-go}
VERSION=${VERSION:-$(packaging/version.sh)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
COMMIT=${COMMIT:-$(git rev-parse HEAD)}
MAINTAINER=${MAINTAINER:-The opcredsd authors <opcredsd@users.noreply.github.com>}
export VERSION SOURCE_DATE_EPOCH MAINTAINER

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Without HTTP/2, which no client needs, the binary is 2 % smaller.
tags=nethttpomithttp2

build() { # file, then variables for the environment
	binary=$1
	shift
	env CGO_ENABLED=0 "$@" "$go" build -trimpath -buildvcs=false -tags "$tags" \
		-ldflags "-s -w -buildid= -X main.release=$VERSION -X main.commit=$COMMIT" -o "$binary" ./cmd/opcredsd
}

# The same for all architectures.
common=$work/common
mkdir -p "$common/completions" "$common/man" "$common/systemd"
(
	tags="$tags,man"
	build "$work/native"
)
"$work/native" completion bash >"$common/completions/opcredsd"
"$work/native" completion zsh >"$common/completions/_opcredsd"
"$work/native" completion fish >"$common/completions/opcredsd.fish"
"$work/native" man "$common/man" packaging/config.yaml
packaging/licenses.sh >"$common/THIRD-PARTY-LICENSES"
cp LICENSE README.md CHANGELOG.md packaging/config.yaml packaging/instance.yaml packaging/devices.yaml "$common/"
mkdir -p "$common/docs" "$common/deploy"
cp docs/*.md "$common/docs/"
cp -R deploy/prometheus deploy/grafana "$common/deploy/"
cp systemd/opcredsd.service systemd/opcredsd@.service systemd/opcredsd-backup.service systemd/opcredsd-backup.timer \
	systemd/opcredsd.sysusers systemd/opcredsd.tmpfiles "$common/systemd/"

# Debian's policy requires that these are compressed.
mkdir -p "$work/gz/man"
for page in "$common"/man/*.[58]; do
	gzip -9nc "$page" >"$work/gz/man/${page##*/}.gz"
done
gzip -9nc CHANGELOG.md >"$work/gz/changelog.gz"
gzip -9n >"$work/gz/changelog.Debian.gz" <<EOF
opcredsd ($(echo "$VERSION" | sed 's/-/~/')-1) unstable; urgency=medium

  * See changelog.gz beside this file.

 -- $MAINTAINER  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
EOF

for arch in ${ARCHES:-amd64 arm64 armv7}; do
	case $arch in
	amd64) goarch=amd64 goarm='' deb=amd64 ;;
	arm64) goarch=arm64 goarm='' deb=arm64 ;;
	armv7) goarch=arm goarm=7 deb=armhf ;;
	*)
		echo "dist.sh: unknown architecture $arch" >&2
		exit 1
		;;
	esac
	name=opcredsd-$VERSION-linux-$arch
	mkdir "$work/$name"
	cp -R "$common/." "$work/$name/"
	build "$work/$name/opcredsd" GOOS=linux GOARCH=$goarch GOARM=$goarm
	"$go" run ./internal/sbom opcredsd "$VERSION" "$work/$name/opcredsd" >"$out/$name.cdx.json"
	tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
		-cf - "$name" | gzip -9n >"$out/$name.tar.gz"

	# nfpm prints its errors to standard output.
	DEB_ARCH=$deb STAGE=$work/$name GZ=$work/gz \
		"$go" tool -modfile=packaging/tools.mod nfpm package \
		--config packaging/nfpm.yaml --packager deb --target "$out/" >"$work/log" || {
		cat "$work/log" >&2
		exit 1
	}
done
(cd "$out" && sha256sum -- opcredsd[-_]* >SHA256SUMS)
if [ "${MINISIGN_KEY:-}" ]; then
	minisign -S -s "$MINISIGN_KEY" -t "opcredsd $VERSION" -m "$out/SHA256SUMS"
fi
