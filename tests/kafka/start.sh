#!/usr/bin/env bash
# Starts one Apache Kafka node (KRaft, broker and controller in one) on loopback, for the tests.
#
#   tests/kafka/start.sh DATA_DIR
#
# Prints its address, 127.0.0.1:PORT, as the only line on stdout; everything else goes to stderr.
# While the broker of DATA_DIR runs, starting it again only prints the address. After stop.sh the
# same DATA_DIR starts with the same port and the same data: that is how a test makes an outage.
#
# Needs java (17 or newer) and mvn; as root, or with sudo, both are installed by apt where absent.
# The jars come from Maven Central once and stay in ${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/kafka.
#
# Environment, all optional:
#   KAFKA_VERSION    4.0.0
#   KAFKA_PORT       a free one, then the one recorded in DATA_DIR
#   KAFKA_HEAP       512m
#   KAFKA_PARTITIONS 4      of a topic created on first use
#   KAFKA_WAIT_S     180    seconds to wait until the broker answers
#   KAFKA_OWNER_PID  unset  the broker is stopped and DATA_DIR removed when this process is gone
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
data=$(realpath -m "${1:?usage: start.sh DATA_DIR}")
version=${KAFKA_VERSION:-4.0.0}
heap=${KAFKA_HEAP:-512m}
partitions=${KAFKA_PARTITIONS:-4}
wait_s=${KAFKA_WAIT_S:-180}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate/kafka
lib=$cache/$version
pid_file=$data/broker.pid

say() { echo "kafka: $*" >&2; }
fail() { say "$*"; exit 1; }

# A pid counts only while it is still the broker of this directory: pids are used again.
running() {
  local pid
  pid=$(cat "$pid_file" 2>/dev/null) && [ -n "$pid" ] &&
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "kafka.Kafka $data/server.properties"
}
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Ready is an answer to a Metadata request that names a live broker, not merely an open port.
# Asked by hand, because a JVM client needs many seconds on a busy machine.
answers() {
  local hex
  hex=$(
    exec 3<>"/dev/tcp/127.0.0.1/$port" &&
      printf '\0\0\0\x13\0\x03\0\x04\0\0\0\x01\0\x04ping\0\0\0\0\0' >&3 &&
      timeout 5 head -c 16 <&3 | od -An -v -tx1 | tr -d ' \n'
  ) 2>/dev/null || return 1
  # length (4 bytes), correlation id = 1 (4), throttle time (4), broker count (4)
  [ "${hex:8:8}" = 00000001 ] && [ -n "${hex:24:8}" ] && ((16#${hex:24:8} >= 1))
}

install_tools() {
  local missing=() sudo=()
  command -v java >/dev/null || missing+=(default-jre-headless)
  [ -e "$lib/kafka_2.13-$version.jar" ] || command -v mvn >/dev/null || missing+=(maven)
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  say "installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# Copied aside and renamed, so that an interrupted copy is never taken for a whole one.
fetch_jars() {
  [ -e "$lib/kafka_2.13-$version.jar" ] && return
  say "fetching Kafka $version (once)"
  local work
  work=$(mktemp -d "$cache/.fetch.XXXXXX")
  sed "s/@VERSION@/$version/" "$here/pom.xml" >"$work/pom.xml"
  mvn -q -B -Dstyle.color=never -f "$work/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$work/lib" >&2
  rm -rf "$lib"
  mv "$work/lib" "$lib"
  rm -rf "$work"
}

pick_port() {
  port=${KAFKA_PORT:-$(cat "$data/port" 2>/dev/null || true)}
  if [ -z "$port" ]; then
    for _ in $(seq 200); do
      port=$((20000 + RANDOM % 12000))
      port_open "$port" || port_open $((port + 1)) || break
    done
  fi
  if port_open "$port"; then fail "127.0.0.1:$port is taken by a process that is not ours"; fi
  echo "$port" >"$data/port"
}

configure() {
  cat >"$data/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port + 1))
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=$data/logs
num.partitions=$partitions
auto.create.topics.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
log.segment.bytes=67108864
log.retention.bytes=1073741824
PROPERTIES
  [ -e "$data/logs/meta.properties" ] && return
  local cluster
  cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
  java -cp "$lib/*" kafka.tools.StorageTool format -t "$cluster" -c "$data/server.properties" \
    >"$data/format.log" 2>&1 || { cat "$data/format.log" >&2; fail "formatting $data/logs failed"; }
}

# The broker gets a session of its own, and none of our descriptors (the lock, a test's pipes).
launch() {
  setsid java -Xms128m "-Xmx$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Djava.net.preferIPv4Stack=true \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true \
    -cp "$lib/*" kafka.Kafka "$data/server.properties" \
    </dev/null >"$data/broker.log" 2>&1 9>&- &
  echo $! >"$pid_file"
  if [ -n "${KAFKA_OWNER_PID:-}" ] && [ ! -e "$data/owner" ]; then
    echo "$KAFKA_OWNER_PID" >"$data/owner"
    setsid bash -c 'tail --pid="$1" -f /dev/null; "$2/stop.sh" --wipe "$3"' - \
      "$KAFKA_OWNER_PID" "$here" "$data" </dev/null >/dev/null 2>&1 9>&- &
  fi
}

wait_ready() {
  local end=$((SECONDS + wait_s))
  port=$(cat "$data/port")
  while ((SECONDS < end)); do
    running || { tail -n 20 "$data/broker.log" >&2; fail "the broker exited; its last lines are above"; }
    if port_open "$port" && answers; then
      say "ready on 127.0.0.1:$port (pid $(cat "$pid_file"), $data)"
      echo "127.0.0.1:$port"
      return
    fi
    sleep 0.1
  done
  fail "no answer within $wait_s s; see $data/broker.log"
}

mkdir -p "$data" "$cache"
exec 9>"$data/.lock"
flock -w "$((wait_s * 2))" 9 || fail "another start holds $data/.lock"
if ! running; then
  install_tools
  exec 8>"$cache/.lock" && flock 8 && fetch_jars
  exec 8>&-
  pick_port
  configure
  launch
fi
# setsid forks only where it leads a group, so $! is java itself; give exec a moment to replace it.
for _ in $(seq 50); do running && break; sleep 0.1; done
wait_ready
