//! The `tidegate` binary: the process's arguments and environment to the command line.

use std::process::ExitCode;

/// Records are made by workers and freed by the committer: glibc's allocator takes a lock for each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Names or values that are not UTF-8 cannot be settings.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    tidegate_collector::cli::run(std::env::args_os(), environment)
}
