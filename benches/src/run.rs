//! A bench from its arguments to its end. What it measures is its own affair.

use std::error::Error;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// What a bench's steps give; the first error ends it.
pub type Fallible<T> = Result<T, Box<dyn Error>>;

/// Reads the arguments and measures, all on this thread: the load has one core.
///
/// # Errors
/// Those of `measure`; wrong arguments end the process with their help.
pub fn run<A: Parser>(measure: impl AsyncFnOnce(&A) -> Fallible<()>) -> Fallible<()> {
    let arguments = A::parse();
    Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(LocalSet::new().run_until(measure(&arguments)))
}
