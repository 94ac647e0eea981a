//! The catalog in force, and why one was not applied.

use serde::{Deserialize, Serialize};

use crate::catalog::Catalog;
use crate::document::Faults;

/// The catalog in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CatalogView {
    /// Its generation; 0 before the first apply.
    pub generation: u32,
    /// SHA-256 of its canonical text, hex.
    pub digest: String,
    /// What is enabled; secrets are shown as `***`.
    pub catalog: Catalog,
}

/// Why a catalog was not applied; the old one stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyRefused {
    /// It has mistakes.
    #[error("{0}")]
    Faults(Faults),
    /// Another one was applied in between.
    #[error("another catalog was applied in the meantime; apply again")]
    Conflict,
    /// A part of the gateway failed.
    #[error("the gateway could not apply it: {reason}")]
    Failed {
        /// In a few words.
        reason: String,
    },
}
