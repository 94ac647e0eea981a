# Sourced by the benches beside it: builds what they measure, and runs them on core 1.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
dir=${TIDEGATE_BENCH_DIR:-$target/bench}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
# The gateway as it is shipped; the load as it is.
cargo build --locked --profile dist --bin tidegate
cargo build --locked --release -p tidegate-benches --bins

# measure BENCH ARGUMENT...: ends the script with the bench's status.
measure() {
  local bench=$1
  shift
  exec taskset -c 1 "$target/release/$bench" --program "$target/dist/tidegate" --dir "$dir" "$@"
}
