//! Arguments that several benches take: what to measure, where, and which parts of it.

use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What every bench is told.
#[derive(Args, Clone, Debug)]
pub struct Measured {
    /// The binary to measure.
    #[arg(long)]
    pub program: PathBuf,
    /// Where servers keep their files; the gateway's journal shall be on a real disk.
    #[arg(long)]
    pub dir: PathBuf,
}

impl Measured {
    /// A directory of this name, without what an earlier run left there; not made yet.
    ///
    /// # Errors
    /// What is there cannot be removed.
    pub fn fresh(&self, name: &str) -> io::Result<PathBuf> {
        let dir = self.dir.join(name);
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        Ok(dir)
    }
}

/// The parts of a bench that are wanted; `P` names them all.
#[derive(Args, Clone, Debug)]
pub struct Parts<P: ValueEnum + Send + Sync + 'static> {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<P>,
}

impl<P: ValueEnum + PartialEq + Send + Sync> Parts<P> {
    /// True where this part is to be measured.
    #[must_use]
    pub fn wants(&self, part: &P) -> bool {
        self.only.is_empty() || self.only.contains(part)
    }
}
