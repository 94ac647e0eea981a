#!/usr/bin/env bash
# Memory, cost and restart with a million visitors: the gateway on core 0, load on core 1.
# Usage: scale.sh [--visitors N] [--only PART,...]   (see `scale --help`)
set -euo pipefail
. "$(dirname "$0")/build.sh"
measure scale "$@"
