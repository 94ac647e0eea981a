#!/usr/bin/env bash
# Runs the README's own examples: every ```sh block marked <!-- test -->, in order, in one shell,
# in an empty directory, with the addresses replaced by free ones.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${TIDEGATE_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug/tidegate}
[ -x "$bin" ] || { echo "no $bin: cargo build --bin tidegate" >&2; exit 1; }

work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
cd "$work"

free_port() { # one that nobody listens on
  local port
  while port=$((20000 + RANDOM % 10000)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}
edge=127.0.0.1:$(free_port) admin=127.0.0.1:$(free_port)
# Where the admin listener is differs from what the README may assume; nothing else does.
mkdir "$work/bin"
cat >"$work/bin/tidegate" <<EOF
#!/bin/sh
case \$1 in
  apply) exec "$bin" "\$@" --admin http://$admin ;;
  *) exec "$bin" "\$@" ;;
esac
EOF
chmod +x "$work/bin/tidegate"
export PATH="$work/bin:$PATH"
export TIDEGATE__EDGE__HTTP=$edge TIDEGATE__ADMIN__LISTEN=$admin

eventually() {
  local tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { echo "gave up on: $*" >&2; return 1; }
    sleep 0.1
  done
}

blocks=$(awk -v dir="$work" '
  /^<!-- test -->$/ { marked = 1; next }
  marked && /^```sh$/ { n++; marked = 0; inside = 1; next }
  /^```$/ { inside = 0 }
  inside { print > (dir "/block-" n ".sh") }
  END { print n + 0 }' "$root/README.md")
[ "$blocks" -ge 3 ] || { echo "only $blocks marked blocks found in README.md" >&2; exit 1; }

for n in $(seq "$blocks"); do
  echo "-- README block $n"
  sed -i "s/127\.0\.0\.1:8080/$edge/g; s/127\.0\.0\.1:9180/$admin/g" "block-$n.sh"
  # In this shell, so that what one block starts is there for the next.
  # shellcheck disable=SC1090
  source "block-$n.sh"
  echo
  [ "$n" -gt 1 ] || eventually curl -sf "http://$admin/readyz"
done
echo "$blocks README blocks ran"
