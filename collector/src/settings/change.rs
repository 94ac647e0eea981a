//! What differs between two settings, key by key, and which of it a running gateway can take.
//!
//! A `live` key takes effect with the next request; a `restart` key is what was opened, allocated
//! or promised at start. Reads no file and applies nothing.

use super::Settings;
use super::declare::{Part as _, When};

/// The keys that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that take effect now.
    pub live: Vec<&'static str>,
    /// Those that wait for a restart.
    pub restart: Vec<&'static str>,
}

/// What differs between the settings in force and those just read.
#[must_use]
pub fn between(in_force: &Settings, read: &Settings) -> Changes {
    let mut changes = Changes::default();
    in_force.compare(read, &mut |path, when| match when {
        When::Live => changes.live.push(path),
        When::Restart => changes.restart.push(path),
    });
    changes
}

/// The settings in force with every live key taken from those just read.
#[must_use]
pub fn merged(in_force: &Settings, read: &Settings) -> Settings {
    let mut merged = in_force.clone();
    merged.take_live(read);
    merged
}
