#!/usr/bin/env bash
# Runs the stages of the test suite, cheapest first, and goes on after a failure.
# Usage: run.sh [STAGE...]   all of them without arguments.
# Last line: "N passed, N failed", with the skipped ones where there are any.
set -uo pipefail
cd "$(dirname "$0")/.."

all=(fmt sdk clippy doc unit simulation readme deploy integration edge browser deny advisories)
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
skip=77 # what a stage answers when this machine cannot run it

node_ready() {
  [ -d sdk-js/node_modules/esbuild ] && [ sdk-js/node_modules/.package-lock.json -nt sdk-js/package-lock.json ] ||
    (cd sdk-js && npm ci --ignore-scripts --no-audit --no-fund)
}

stage_fmt() { cargo fmt --all --check; }
stage_sdk() { node_ready && (cd sdk-js && npm test); }
# The second: what `make demo` builds, with its features left out.
stage_clippy() {
  cargo clippy --locked --workspace --all-targets -- -D warnings &&
    cargo clippy --locked -p tidegate-collector --no-default-features --lib --bin tidegate -- -D warnings
}
stage_doc() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items; }
stage_unit() {
  cargo test --locked --workspace --exclude tidegate-tests &&
    cargo test --locked -p tidegate-tests --lib --test architecture
}
# The same packages as in stage_unit: with fewer, cargo would pick other features and build them anew.
stage_simulation() {
  TIDEGATE_SIM_SEEDS=${TIDEGATE_SIM_SEEDS:-1000} \
    cargo test --locked --workspace --exclude tidegate-tests --lib -- simulation plain_fold
}
stage_readme() { cargo build --locked --bin tidegate && tests/readme.sh; }
stage_deploy() { cargo build --locked --bin tidegate && tests/deploy/check.sh; }
stage_integration() {
  cargo build --locked --bin tidegate &&
    cargo build --locked -p tidegate-tests --features mutant-without-sync --bin tidegate-without-sync &&
    cargo test --locked -p tidegate-tests --test integration
}
stage_edge() {
  cargo build --locked --bin tidegate || return
  local part status=0 ran=0
  for part in h3 h2spec; do
    "tests/$part/run.sh"
    case $? in
      0) ran=1 ;;
      "$skip") ;;
      *) ran=1 status=1 ;;
    esac
  done
  [ "$ran" -eq 1 ] || return $skip
  return $status
}
stage_browser() {
  local found
  found=$(command -v chromium chromium-browser google-chrome | head -n 1)
  [ -n "$found" ] || { echo "skipped: no Chromium"; return $skip; }
  cargo build --locked --bin tidegate && node_ready && (cd sdk-js && CHROMIUM=$found npm run test:browser)
}
stage_deny() {
  command -v cargo-deny >/dev/null || { echo "skipped: no cargo-deny (cargo install cargo-deny)"; return $skip; }
  cargo deny --locked check licenses bans sources
}
stage_advisories() {
  command -v cargo-deny >/dev/null || { echo "skipped: no cargo-deny (cargo install cargo-deny)"; return $skip; }
  cargo deny --locked fetch db || { echo "skipped: the advisory database cannot be fetched here"; return $skip; }
  cargo deny --locked --offline check advisories
}

passed=0 failed=0 skipped=0 broken=()
[ $# -gt 0 ] || set -- "${all[@]}"
for stage in "$@"; do
  declare -F "stage_$stage" >/dev/null || { echo "no stage $stage: ${all[*]}" >&2; exit 2; }
  printf '== %s\n' "$stage"
  start=$SECONDS
  "stage_$stage" 2>&1 | tee "$logs/$stage"
  status=${PIPESTATUS[0]}
  took="$((SECONDS - start)) s"
  case $status in
    0) passed=$((passed + 1)) && echo "== $stage passed in $took" ;;
    "$skip") skipped=$((skipped + 1)) && echo "== $stage skipped" ;;
    *) failed=$((failed + 1)) && broken+=("$stage") && echo "== $stage FAILED after $took" ;;
  esac
done

for stage in "${broken[@]}"; do
  printf '\n== %s, its last lines:\n' "$stage"
  tail -n 40 "$logs/$stage"
done
printf '\n%s passed, %s failed' "$passed" "$failed"
[ "$skipped" -gt 0 ] && printf ', %s skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ]
