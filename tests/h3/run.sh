#!/usr/bin/env bash
# HTTP/3 by clients that other people wrote: aioquic and quic-go, with and without Retry, and over
# a link that loses 2 % of its packets: netem in a network namespace of its own, or a relay where the
# kernel has no netem. The gateway's own count must agree. Needs the built binary.
# Exit 77: no client could be had.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tests/edge_gateway.sh
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate
count=${COUNT:-50}
mkdir -p "$cache"

have_aioquic() {
  command -v python3 >/dev/null || return 1
  [ -x "$cache/h3/bin/python" ] || python3 -m venv "$cache/h3" || return 1
  "$cache/h3/bin/python" -c 'import aioquic' 2>/dev/null ||
    "$cache/h3/bin/python" -m pip install -q 'aioquic>=1.2,<2'
}
have_quic_go() {
  command -v go >/dev/null && (cd tests/h3/go && go build -o "$cache/h3-go-client" .)
}

# Runs the clients that there are against the running gateway, and holds its count against theirs.
exchange() {
  local expected=0 before after
  before=$(metric 'tidegate_edge_requests_by_version_total{version="3"}')
  if [ -n "$aioquic" ]; then
    "$cache/h3/bin/python" tests/h3/aioquic_client.py "https://localhost:$https" "$ca" "$count" || return 1
    expected=$((expected + 2 * count + 1))
  fi
  if [ -n "$quic_go" ]; then
    "$cache/h3-go-client" "https://localhost:$https" "$ca" "$count" || return 1
    expected=$((expected + 2 * count))
  fi
  after=$(metric 'tidegate_events_total{outcome="accepted"}')
  [ "$after" = "$expected" ] || { echo "$expected sent, $after accepted" >&2; return 1; }
  after=$(metric 'tidegate_edge_requests_by_version_total{version="3"}')
  [ $((after - before)) -ge "$expected" ] || { echo "not over HTTP/3: $before to $after" >&2; return 1; }
}

if [ "${1:-}" = lossy ]; then
  aioquic=$2 quic_go=$3
  ip link set lo up && tc qdisc add dev lo root netem loss 2% && start_gateway && exchange
  status=$?
  tc -s qdisc show dev lo | awk '/dropped/ { print "lost on the way:", $7, "packets" }' | tr -d ','
  exit $status
fi

aioquic= quic_go=
have_aioquic && aioquic=1 || echo "skipped: no aioquic (needs python3 with venv, and its package index)"
have_quic_go && quic_go=1 || echo "skipped: no quic-go (needs Go, and its module proxy)"
[ -n "$aioquic$quic_go" ] || exit 77

failed=0
step() { echo "-- $1"; shift; "$@" || { echo "FAILED" >&2; failed=1; cat "$work/log" >&2; }; stop_gateway; }
plain() { start_gateway && exchange; }
retry() {
  start_gateway 'h3_retry_handshakes = 0' && exchange || return 1
  local retries
  retries=$(metric tidegate_quic_retries_total)
  [ "$retries" -gt 0 ] && echo "$retries clients proved their address first"
}
step "a quiet link" plain
step "Retry" retry
relayed() {
  start_gateway || return 1
  local relay status
  python3 tests/h3/lossy_relay.py "$https" 2 > "$work/relay" &
  relay=$!
  for _ in $(seq 100); do [ -s "$work/relay" ] && break; sleep 0.05; done
  https=$(head -n 1 "$work/relay") exchange
  status=$?
  kill "$relay" && wait "$relay"
  tail -n +2 "$work/relay"
  grep -q '^dropped [1-9]' "$work/relay" && return $status
}
if unshare -n sh -c 'ip link set lo up && tc qdisc add dev lo root netem loss 2%' 2>/dev/null; then
  step "2 % loss" unshare -n "$0" lossy "$aioquic" "$quic_go"
elif command -v python3 >/dev/null; then
  echo "no network namespace with netem here (needs root, and the kernel's module): a relay instead"
  step "2 % loss" relayed
else
  echo "skipped: 2 % loss (needs netem and root, or python3)"
fi
exit $failed
