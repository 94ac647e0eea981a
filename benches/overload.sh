#!/usr/bin/env bash
# Goodput, latency and memory at three times the capacity: the gateway on core 0, load on core 1.
# Usage: overload.sh [--batch N] [--times N]   (see `overload --help`)
set -euo pipefail
. "$(dirname "$0")/build.sh"
measure overload "$@"
