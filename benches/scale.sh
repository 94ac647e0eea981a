#!/usr/bin/env bash
# Memory, cost and restart with a million visitors: the gateway on core 0, load on core 1.
# Usage: scale.sh [--visitors N] [--only PART,...]   (see `scale --help`)
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
dir=${TIDEGATE_BENCH_DIR:-$target/bench}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# The gateway as it is shipped; the load as it is.
cargo build --locked --profile dist --bin tidegate
cargo build --locked --release -p tidegate-benches --bins
exec taskset -c 1 "$target/release/scale" --program "$target/dist/tidegate" --dir "$dir" "$@"
