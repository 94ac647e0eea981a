#!/usr/bin/env bash
# CPU of the whole gateway beside nginx: servers on core 0, load on core 1.
# Usage: edge.sh [--kafka HOST:PORT] [--rounds N] ...   (see `edge --help`)
# With TIDEGATE_BENCH_KAFKA=1 a broker is started (tests/kafka/start.sh) and forwarding measured too.
set -euo pipefail
. "$(dirname "$0")/build.sh"
if [ "${TIDEGATE_BENCH_KAFKA:-}" = 1 ]; then
  # It ends with this process, which the exec in `measure` does not change.
  brokers=$(KAFKA_OWNER_PID=$$ taskset -c 1 tests/kafka/start.sh "$dir/broker")
  set -- --kafka "$brokers" "$@"
fi
measure edge "$@"
