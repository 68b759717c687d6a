#!/bin/sh
# apt.sh creates an apt repository from the Debian packages of a release. Any web server can
# serve it:
#
#	packaging/apt.sh DIST REPOSITORY
#
# DIST is the output folder of dist.sh, with the packages of one or more releases. The suite
# is "stable", or $SUITE. $APT_KEY is the fingerprint of the gpg key that signs the
# repository. Without a key, clients must trust the server ("[trusted=yes]").
set -eu
umask 022
[ $# = 2 ] || { echo "usage: apt.sh DIST REPOSITORY" >&2; exit 2; }
suite=${SUITE:-stable}
pool=pool/main/o/opcredsd
mkdir -p "$2/$pool"
cp "$1"/opcredsd_*.deb "$2/$pool/"
cd "$2"
for arch in amd64 arm64 armhf; do
	at=dists/$suite/main/binary-$arch
	mkdir -p "$at"
	apt-ftparchive --arch "$arch" packages "$pool" >"$at/Packages"
	gzip -9nk -f "$at/Packages"
done
rm -f "dists/$suite/Release" "dists/$suite/Release.gpg" "dists/$suite/InRelease"
apt-ftparchive \
	-o APT::FTPArchive::Release::Origin=opcredsd \
	-o APT::FTPArchive::Release::Label=opcredsd \
	-o APT::FTPArchive::Release::Suite="$suite" \
	-o APT::FTPArchive::Release::Codename="$suite" \
	-o APT::FTPArchive::Release::Architectures="amd64 arm64 armhf" \
	-o APT::FTPArchive::Release::Components=main \
	release "dists/$suite" >Release.new
mv Release.new "dists/$suite/Release"
if [ "${APT_KEY:-}" ]; then
	gpg --batch --yes --local-user "$APT_KEY" --clearsign --output "dists/$suite/InRelease" "dists/$suite/Release"
	gpg --batch --yes --local-user "$APT_KEY" --armor --detach-sign --output "dists/$suite/Release.gpg" "dists/$suite/Release"
	gpg --batch --yes --export "$APT_KEY" >opcredsd.gpg
fi
