#!/usr/bin/env bash
# Runs the examples of the README and of docs/: every ```sh block marked <!-- test -->, in order, in
# one shell for each page, with the addresses replaced by free ones. What a block marked
# <!-- test: REGEX --> prints must match. Twice: pasted at once, and with the pauses of a person who
# reads between two commands (PACE seconds, 2 without it), all pages at the same time.
# Usage: readme.sh [PAGE...]   all pages with marked blocks without arguments.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${TIDEGATE_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/tidegate}
[ -x "$bin" ] || { echo "no $bin: cargo build --bin tidegate" >&2; exit 1; }

free_port() { # one that nobody listens on, of this page's own hundred
  local port
  while port=$((20000 + 100 * (page_number % 100) + RANDOM % 100)) &&
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}

eventually() {
  local tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { echo "gave up on: $*" >&2; return 1; }
    sleep 0.1
  done
}

settled() { # ADMIN: one gateway serves, after a take-over too
  local running
  running=$(jobs -r)
  [ "$(grep -c 'tidegate serve' <<<"$running")" -le 1 ] && curl -sf "http://$1/readyz"
}

blocks() { # PAGE DIR: a file for each marked block, one for what it must print, and how many there are
  awk -v dir="$2" '
    /^<!-- test(: .*)? -->$/ { marked = 1; wanted = $0; gsub(/^<!-- test(: )?| -->$/, "", wanted); next }
    marked && /^```sh$/ { n++; marked = 0; inside = 1; print wanted > (dir "/wanted-" n); next }
    /^```$/ { inside = 0 }
    inside { print > (dir "/block-" n ".sh") }
    END { print n + 0 }' "$1"
}

# What `make demo` leaves behind, in a directory that stands for the repository.
stand_in() { # DIR
  mkdir -p "$1/target/demo" "$1/home"
  ln -s "$bin" "$1/target/demo/tidegate"
  cp -r "$root/deploy" "$1/deploy"
}

run_page() ( # PAGE PACE NUMBER
  local page=$1 pace=$2 page_number=$3 name work count n edge admin receiver wanted status
  name=${page#"$root/"} work=$(mktemp -d)
  # A block that fails ends the shell; what it said is shown here.
  trap 'status=$?; trap - DEBUG; [ "$status" -eq 0 ] || cat "$work/said"; kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
  # Ports are drawn at random: two draws may be the same.
  edge=$(free_port) admin=$edge receiver=$edge
  while [ "$admin" = "$edge" ]; do admin=$(free_port); done
  while [ "$receiver" = "$edge" ] || [ "$receiver" = "$admin" ]; do receiver=$(free_port); done
  edge=127.0.0.1:$edge admin=127.0.0.1:$admin
  stand_in "$work"
  count=$(blocks "$page" "$work")
  [ "$count" -ge 1 ] || { echo "no marked block in $name" >&2; exit 1; }
  export HOME=$work/home TIDEGATE__EDGE__HTTP=$edge TIDEGATE__ADMIN__LISTEN=$admin
  cd "$work"
  if [ "$name" != README.md ]; then
    # Another page assumes what the README ends with: a gateway, and its catalog at hand.
    export PATH=$work/target/demo:$PATH
    mkdir gateway && cd gateway
    cp "$root/deploy/catalog.example.toml" catalog.toml
    echo 'catalog = "catalog.toml"' >tidegate.toml
    tidegate serve --config tidegate.toml >"$work/said" 2>&1 &
    eventually curl -sf "http://$admin/readyz"
  fi
  set -T
  for n in $(seq "$count"); do
    echo "-- $name, block $n, ${pace} s between commands"
    sed -i "s/127\.0\.0\.1:8080/$edge/g; s/127\.0\.0\.1:9180/$admin/g; s/\b8099\b/$receiver/g" "$work/block-$n.sh"
    trap 'sleep "$pace"' DEBUG
    # In this shell, so that what one block starts is there for the next.
    # shellcheck disable=SC1090
    source "$work/block-$n.sh" >"$work/said" 2>&1
    trap - DEBUG
    cat "$work/said"
    wanted=$(cat "$work/wanted-$n")
    [ -z "$wanted" ] || grep -qE -- "$wanted" "$work/said" || { echo "this does not say: $wanted" >&2; exit 1; }
    [ -z "$(jobs -r)" ] || eventually settled "$admin"
  done
)

pages=("$@")
if [ $# -eq 0 ]; then
  mapfile -t pages < <(grep -lE '^<!-- test(: .*)? -->$' "$root"/README.md "$root"/docs/*.md)
  [ "${#pages[@]}" -ge 5 ] || { echo "only ${#pages[@]} pages with marked blocks" >&2; exit 1; }
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
number=0 runs=() failed=0
for pace in 0 "${PACE:-2}"; do
  for page in "${pages[@]}"; do
    number=$((number + 1))
    run_page "$(realpath "$page")" "$pace" "$number" >"$logs/$number" 2>&1 &
    runs+=("$!")
  done
done
for number in "${!runs[@]}"; do
  wait "${runs[$number]}" || failed=$((failed + 1))
  cat "$logs/$((number + 1))"
done
[ "$failed" -eq 0 ] || { echo "$failed runs of a page failed: see above" >&2; exit 1; }
echo "${#pages[@]} pages ran, at both paces"
