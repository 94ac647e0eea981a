#!/usr/bin/env bash
# h2spec against the real binary, cleartext and over TLS. Every failed case must stand in
# allowed.txt, with the reason, and at least 141 of the 145 cases must pass: as many as with Go's
# net/http. Needs the built binary. Exit 77: h2spec could not be had.
set -uo pipefail
cd "$(dirname "$0")/../.."
. tests/edge_gateway.sh
allowed=$PWD/tests/h2spec/allowed.txt
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate
h2spec=$(command -v h2spec || echo "$cache/bin/h2spec")
if [ ! -x "$h2spec" ]; then
  command -v go >/dev/null && GOBIN=$cache/bin go install github.com/summerwind/h2spec/cmd/h2spec@latest
fi
[ -x "$h2spec" ] || { echo "skipped: no h2spec (needs Go, and its module proxy)"; exit 77; }

judge() { # name, report
  python3 - "$allowed" "$@" <<'PYTHON'
import sys, xml.etree.ElementTree as xml
allowed, name, report = sys.argv[1:]
lines = [line.split("#")[0].strip() for line in open(allowed)]
allowed = {line for line in lines if line}
cases = list(xml.parse(report).iter("testcase"))
failed = {f'{case.get("package")} {case.get("classname")}' for case in cases
          if case.find("failure") is not None or case.find("error") is not None}
print(f"{name}: {len(cases) - len(failed)} of {len(cases)} passed; failed: {sorted(failed) or 'none'}")
sys.exit(len(cases) < 145 or len(cases) - len(failed) < 141 or not failed <= allowed)
PYTHON
}

failed=0
start_gateway || exit 1
"$h2spec" -h 127.0.0.1 -p "$http" -o 5 -j "$work/h2c.xml" > "$work/h2c" 2>&1
judge h2c "$work/h2c.xml" || { failed=1; sed -n '/^Failures/,$p' "$work/h2c"; }
"$h2spec" -h 127.0.0.1 -p "$https" -t -k -o 5 -j "$work/h2.xml" > "$work/h2" 2>&1
judge h2 "$work/h2.xml" || { failed=1; sed -n '/^Failures/,$p' "$work/h2"; }
exit $failed
