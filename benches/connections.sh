#!/usr/bin/env bash
# Memory of idle connections over TLS, and a good client beside slow heads: the gateway on core 0,
# load on core 1.
# Usage: connections.sh [--connections N] [--only PART,...]   (see `connections --help`)
set -euo pipefail
. "$(dirname "$0")/build.sh"
measure connections "$@"
