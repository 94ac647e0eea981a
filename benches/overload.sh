#!/usr/bin/env bash
# Goodput, latency and memory at three times the capacity: the gateway on core 0, load on core 1.
# Usage: overload.sh [--batch N] [--times N]   (see `overload --help`)
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
dir=${TIDEGATE_BENCH_DIR:-$target/bench}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# The gateway as it is shipped; the load as it is.
cargo build --locked --profile dist --bin tidegate
cargo build --locked --release -p tidegate-benches --bins
exec taskset -c 1 "$target/release/overload" --program "$target/dist/tidegate" --dir "$dir" "$@"
