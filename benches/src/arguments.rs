//! What both binaries are told: what to measure, where, and which parts of it.

use std::io;
use std::path::PathBuf;

use clap::Args;

/// Arguments that the binaries share.
#[derive(Args, Clone, Debug)]
pub struct Measured {
    /// The binary to measure.
    #[arg(long)]
    pub program: PathBuf,
    /// Where servers keep their files; the gateway's journal shall be on a real disk.
    #[arg(long)]
    pub dir: PathBuf,
    /// Only these parts, by name.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl Measured {
    /// True where the part of this name is to be measured.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

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
