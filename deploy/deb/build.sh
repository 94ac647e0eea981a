#!/usr/bin/env bash
# Packs a binary as a Debian package, with the systemd units, the settings file and the docs.
# Usage: build.sh BINARY OUT_DIR      prints the package's path. Needs dpkg-deb; not root.
set -euo pipefail
binary=$(realpath "$1") out=$(realpath "$2")
root=$(cd "$(dirname "$0")/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
umask 022

version=$("$binary" --version | cut -d ' ' -f 2)
architecture=$(dpkg --print-architecture)
install -D "$binary" "$tree/usr/bin/tidegate"
install -D -m 644 "$root/deploy/deb/tidegate.toml" "$tree/etc/tidegate/tidegate.toml"
units=$tree/usr/lib/systemd/system
install -d "$units"
install -m 644 "$root"/deploy/tidegate.service "$root"/deploy/tidegate-*.socket "$units"
sed -i 's|/usr/local/bin/|/usr/bin/|' "$units/tidegate.service"
docs=$tree/usr/share/doc/tidegate
install -d "$docs/examples"
install -m 644 "$root"/docs/*.md "$root/docs/openapi.yaml" "$root/docs/record.schema.json" "$docs"
install -m 644 "$root"/deploy/*.example.toml "$root/deploy/prometheus/alerts.yml" "$docs/examples"
install -m 644 "$root/LICENSE" "$docs/copyright"
gzip -9n <"$root/CHANGELOG.md" >"$docs/changelog.gz"

# What a dynamic binary needs; a static one needs nothing.
depends=adduser
if ! ldd "$binary" 2>&1 | grep -qE 'statically linked|not a dynamic executable'; then
  mkdir "$tree/debian"
  echo "Source: tidegate" >"$tree/debian/control"
  needed=$(cd "$tree" && dpkg-shlibdeps -O usr/bin/tidegate 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
  rm -r "$tree/debian"
  depends="$depends, $needed"
fi

install -d "$tree/DEBIAN"
install -m 755 "$root"/deploy/deb/{postinst,prerm,postrm} "$tree/DEBIAN"
echo /etc/tidegate/tidegate.toml >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr etc -type f -exec md5sum {} +) >"$tree/DEBIAN/md5sums"
cat >"$tree/DEBIAN/control" <<END
Package: tidegate
Version: $version
Architecture: $architecture
Maintainer: The Tidegate authors <https://github.com/tidegate/tidegate>
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f 1)
Depends: $depends
Section: web
Priority: optional
Homepage: https://github.com/tidegate/tidegate
Description: real-time edge tag collector and activation gateway
 Collects events from a website's tag, makes them durable, keeps sessions,
 decides segments on every event, forwards to Kafka and calls destinations
 with signed webhooks. One binary, no service beside it.
END
package=$out/tidegate_${version}_$architecture.deb
dpkg-deb --root-owner-group "${COMPRESSION:--Zxz}" --build "$tree" "$package" >&2
echo "$package"
