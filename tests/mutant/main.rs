//! `tidegate` as its users run it, built with the feature that leaves the fdatasync of the journal
//! out. The integration tests show that they find it out; nobody shall ever run it for anything else.

use std::process::ExitCode;

fn main() -> ExitCode {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    tidegate_collector::cli::run(std::env::args_os(), environment)
}
