//! The live state, and the journal that it is a fold of: what a record's writing touches.

use super::checkpoint::{Behind, Work};
use super::dedup::Dedup;
use super::dedup_key::DedupKeys;
use super::metrics::CoreMetrics;
use super::schedule::Schedule;
use super::settings::CoreSettings;
use super::writer::Writer;
use crate::profile::live::Profiles;

/// See the module.
pub(super) struct State {
    pub(super) writer: Writer,
    pub(super) profiles: Profiles,
    pub(super) dedup: Dedup,
    pub(super) dedup_keys: DedupKeys,
    pub(super) schedule: Schedule,
    pub(super) behind: Behind,
    pub(super) settings: CoreSettings,
    pub(super) metrics: CoreMetrics,
}

impl State {
    /// What the checkpoint works on.
    pub(super) fn work(&self) -> Work<'_> {
        Work {
            journal: self.writer.journal(),
            profiles: &self.profiles,
            dedup: &self.dedup,
            behind: &self.behind,
            clock: self.writer.clock(),
            metrics: &self.metrics,
        }
    }
}
