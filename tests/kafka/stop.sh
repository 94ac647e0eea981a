#!/usr/bin/env bash
# Stops the broker that start.sh started in DATA_DIR.
#
#   tests/kafka/stop.sh [--kill] [--wipe] DATA_DIR
#
# Only the recorded pid is signalled, and only while it is still that directory's Kafka.
# --kill sends SIGKILL at once (a crash); --wipe removes DATA_DIR afterwards (never the jars).
set -euo pipefail

wipe='' signal=TERM
while [ "${1:-}" != "${1#--}" ]; do
  case $1 in
    --wipe) wipe=1 ;;
    --kill) signal=KILL ;;
    *) echo "kafka: unknown option $1" >&2; exit 2 ;;
  esac
  shift
done
data=$(realpath -m "${1:?usage: stop.sh [--kill] [--wipe] DATA_DIR}")
pid_file=$data/broker.pid

ours() { tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null | grep -qF "kafka.Kafka $data/server.properties"; }

pid=$(cat "$pid_file" 2>/dev/null || true)
if [ -n "$pid" ] && ours "$pid"; then
  kill "-$signal" "$pid"
  for _ in $(seq 150); do ours "$pid" || break; sleep 0.1; done
  if ours "$pid"; then kill -KILL "$pid"; fi
  while ours "$pid"; do sleep 0.1; done
  echo "kafka: stopped (pid $pid)" >&2
else
  echo "kafka: not running" >&2
fi
rm -f "$pid_file"
if [ -n "$wipe" ] && [ -e "$data/server.properties" ]; then rm -rf "${data:?}"; fi
