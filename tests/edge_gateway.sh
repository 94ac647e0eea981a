# Sourced by the scripts that drive a real gateway from outside: starts and stops one on free ports,
# with TLS and HTTP/3 under its self-signed certificate. Not a script of its own.

binary=${CARGO_TARGET_DIR:-target}/debug/tidegate
work=$(mktemp -d)
pid=

# Further lines of [edge] as arguments. Sets $http, $https, $admin (ports) and $ca.
start_gateway() {
  rm -rf "$work/data"
  {
    printf 'data_dir = "data"\n[edge]\nhttp = "127.0.0.1:0"\nhttps = "127.0.0.1:0"\n'
    printf '%s\n' "$@"
    printf '[admin]\nlisten = "127.0.0.1:0"\n'
  } > "$work/tidegate.toml"
  "$binary" serve --config "$work/tidegate.toml" > "$work/log" 2>&1 &
  pid=$!
  for _ in $(seq 300); do
    [ -f "$work/data/addresses.json" ] && break
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  [ -f "$work/data/addresses.json" ] || { cat "$work/log" >&2; return 1; }
  http=$(port_of http) https=$(port_of https) admin=$(port_of admin)
  ca=$work/data/tls/self-signed.pem
}

port_of() { sed -E "s/.*\"$1\":\"[^\"]*:([0-9]+)\".*/\1/" "$work/data/addresses.json"; }

stop_gateway() {
  [ -n "$pid" ] || return 0
  kill "$pid" 2>/dev/null
  wait "$pid"
  pid=
}

# The value of one line of the metrics.
metric() {
  curl -sf --max-time 20 "http://127.0.0.1:$admin/metrics" |
    awk -v name="$1" 'index($0, name " ") == 1 { print $NF; found = 1 } END { if (!found) print 0 }'
}

trap 'stop_gateway; rm -rf "$work"' EXIT
