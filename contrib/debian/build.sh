#!/bin/sh
# Builds the Debian package of this checkout, for the release of Debian or Ubuntu that this host has, into the folder DIST:
#   contrib/debian/build.sh DIST
# EXTRAS names the extras that are in it.
set -eu
dist=$(realpath "${1:?usage: contrib/debian/build.sh DIST}")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
source=$work/sccachedist
mkdir -p "$dist" "$source"
cp -r CHANGELOG.md LICENSE README.md pyproject.toml requirements.lock setup.py contrib sccachedist twisted "$source"
mv "$source/contrib/debian" "$source/debian"
# One package for each release of a distribution: the environment in it belongs to that release's Python.
. /etc/os-release
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' sccachedist/__init__.py)
day=$(sed -n 's/^## \[[0-9].*\] - \(.*\)$/\1/p' CHANGELOG.md | head -n 1)
cat >"$source/debian/changelog" <<END
sccachedist ($version-$ID${VERSION_ID:-}) unstable; urgency=medium

  * CHANGELOG.md says what is new.

 -- The maintainers of sccachedist <maintainers@sccachedist.invalid>  $(date --utc --rfc-email --date="$day")
END
cd "$source"
dpkg-checkbuilddeps -I # nothing is compiled
dpkg-buildpackage --build=binary --no-sign --no-check-builddeps
mv "$work"/*.deb "$dist"
