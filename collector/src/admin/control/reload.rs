//! What a reload did, and why it was refused.

use serde::{Deserialize, Serialize};

use super::FaultView;

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadView {
    /// Settings that are in force now, by key.
    pub changed: Vec<String>,
    /// Settings that differ from those in force and wait for a restart, by key.
    pub needs_restart: Vec<String>,
    /// Whether each of the other files changed.
    pub parts: ReloadedParts,
}

/// What a reload did to the files beside the settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadedParts {
    /// The catalog file.
    pub catalog: FileChange,
    /// The GeoIP databases.
    pub geoip: FileChange,
    /// The data sets for user agents.
    #[serde(default)]
    pub user_agents: FileChange,
    /// The certificates.
    pub certificates: FileChange,
}

/// Whether a file took effect anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChange {
    /// It did.
    Changed,
    /// It is as it was, or there is none.
    #[default]
    Unchanged,
}

impl ReloadView {
    /// True where anything took effect.
    #[must_use]
    pub fn applied(&self) -> bool {
        let parts = [
            self.parts.catalog,
            self.parts.geoip,
            self.parts.user_agents,
            self.parts.certificates,
        ];
        !self.changed.is_empty() || parts.contains(&FileChange::Changed)
    }
}

/// A reload that changed nothing, because of a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not reloaded, everything stays as it was: {}", self.told())]
pub struct ReloadRefused {
    /// Every mistake found.
    pub faults: Vec<FaultView>,
}

impl ReloadRefused {
    fn told(&self) -> String {
        let told: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        told.join("; ")
    }
}
