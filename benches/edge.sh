#!/usr/bin/env bash
# CPU of the whole gateway beside nginx: servers on core 0, load on core 1.
# Usage: edge.sh [--kafka HOST:PORT] [--rounds N] ...   (see `edge --help`)
# With TIDEGATE_BENCH_KAFKA=1 a broker is started (tests/kafka/start.sh) and forwarding measured too.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
dir=${TIDEGATE_BENCH_DIR:-$target/bench}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# The gateway as it is shipped; the load as it is.
cargo build --locked --profile dist --bin tidegate
cargo build --locked --release -p tidegate-benches --bins
if [ "${TIDEGATE_BENCH_KAFKA:-}" = 1 ]; then
  # It ends with this process, which exec below does not change.
  brokers=$(KAFKA_OWNER_PID=$$ taskset -c 1 tests/kafka/start.sh "$dir/broker")
  set -- --kafka "$brokers" "$@"
fi
exec taskset -c 1 "$target/release/edge" --program "$target/dist/tidegate" --dir "$dir" "$@"
