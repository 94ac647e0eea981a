#!/usr/bin/env bash
# Builds the gateway for the demo and starts it. The build is lean (profile `demo`, no Kafka, no
# traces): it is for looking, `make release` is for running.
# Usage: demo.sh [ARGUMENTS OF tidegate demo...]; with --build-only nothing is started.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${CARGO_TARGET_DIR:-target}/demo/tidegate
cpu_seconds=340 # of a build from nothing, measured: docs/decisions/081

if [ ! -x "$binary" ]; then
  cores=$(nproc)
  minutes=$(((cpu_seconds / cores + 59) / 60))
  cat <<END
Building the gateway from source, once: about $minutes minutes on $cores cores, then seconds.
Cargo counts the parts below. The WebAssembly compiler (cranelift, wasmtime) is the longest of
them, and the gateway itself (tidegate-collector) is the last.

END
fi
SECONDS=0
cargo build --locked --profile demo -p tidegate-collector --bin tidegate --no-default-features
[ "$SECONDS" -lt 20 ] || echo "Built in $((SECONDS / 60)) min $((SECONDS % 60)) s: $binary"
[ "${1:-}" != --build-only ] || exit 0
exec "$binary" demo "$@"
