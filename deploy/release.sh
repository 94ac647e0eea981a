#!/usr/bin/env bash
# Builds what is published, into target/release-artefacts: a static binary, a tarball, a .deb, their
# SHA-256 sums and, where docker runs, the container image. See docs/release.md.
# Usage: release.sh [--profile PROFILE]     dist (slow to build, fast to run) without it
set -euo pipefail
cd "$(dirname "$0")/.."
profile=dist
[ "${1:-}" != --profile ] || profile=$2
target=$(uname -m)-unknown-linux-musl
out=${CARGO_TARGET_DIR:-target}/release-artefacts

command -v musl-gcc >/dev/null ||
  { echo "musl-gcc is missing: apt-get install musl-tools" >&2; exit 1; }
[ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] ||
  { echo "Rust's $target is missing: rustup target add $target" >&2; exit 1; }

echo "Building for $target with the profile $profile: about a quarter of an hour on 2 cores."
# librdkafka's own configure does not know of cargo's target: it takes CC. Warnings of C are not ours.
CC=musl-gcc cargo build --locked --profile "$profile" --target "$target" -p tidegate-collector --bin tidegate
binary=${CARGO_TARGET_DIR:-target}/$target/$profile/tidegate
# ldd says "statically linked" of a static-pie, and "not a dynamic executable" of any other static one.
ldd "$binary" 2>&1 | grep -qE 'statically linked|not a dynamic executable' ||
  { echo "$binary is not static" >&2; exit 1; }

rm -rf "$out"
version=$("$binary" --version | cut -d ' ' -f 2)
name=tidegate-$version-$(uname -m)-linux
mkdir -p "$out/$name"
cp -r "$binary" LICENSE README.md CHANGELOG.md docs "$out/$name"
mkdir "$out/$name/deploy"
cp -r deploy/*.example.toml deploy/tidegate.service deploy/*.socket deploy/cdn deploy/prometheus deploy/grafana \
  "$out/$name/deploy"
tar --owner=0 --group=0 -C "$out" -czf "$out/$name.tar.gz" "$name"
rm -r "${out:?}/$name"
deploy/deb/build.sh "$binary" "$out"
if docker info >/dev/null 2>&1; then
  docker build -f deploy/Dockerfile -t "tidegate:$version" .
else
  echo "No docker daemon here, so no image: docker build -f deploy/Dockerfile -t tidegate:$version ."
fi
(cd "$out" && sha256sum -- *.tar.gz *.deb >SHA256SUMS)
ls -l "$out"
