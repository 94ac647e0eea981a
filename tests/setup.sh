#!/usr/bin/env bash
# Installs from Debian or Ubuntu what is missing, and nothing that is there.
# Usage: setup.sh GROUP...   with groups: build, test, bench
set -euo pipefail

declare -A needs=(
  # command: package that brings it
  [build]="cc:build-essential c++:build-essential make:build-essential pkg-config:pkg-config"
  [test]="curl:curl node:nodejs npm:npm java:default-jre-headless mvn:maven strace:strace go:golang-go python3:python3-venv ip:iproute2 tc:iproute2 nginx:nginx-light chromium|chromium-browser|google-chrome:chromium"
  [bench]="nginx:nginx-light curl:curl"
)
# Without these a stage is skipped, and says so; the rest can be tested.
optional=" strace chromium golang-go python3-venv iproute2 nginx-light "

has() { # any of a|b|c
  local name
  for name in ${1//|/ }; do
    command -v "$name" >/dev/null || [ -x "/usr/sbin/$name" ] && return 0
  done
  return 1
}

if ! command -v cargo >/dev/null; then
  echo "Rust is missing: install 1.95 or newer from https://rustup.rs, then run this again." >&2
  exit 1
fi

missing=()
for group in "$@"; do
  for need in ${needs[$group]}; do
    has "${need%%:*}" || missing+=("${need##*:}")
  done
done
[ ${#missing[@]} -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if ! command -v apt-get >/dev/null; then
  echo "Please install: ${missing[*]} (there is no apt-get here to do it)." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Please install as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "Installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq || true
failed=()
for package in "${missing[@]}"; do
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null || failed+=("$package")
done
for package in "${failed[@]}"; do
  if [[ $optional == *" $package "* ]]; then
    echo "$package could not be installed; what needs it will be skipped." >&2
  else
    echo "$package could not be installed." >&2
    exit 1
  fi
done
