//! What the edge needs of the core, as a trait, so that the edge can be driven without one.

use std::future::Future;

use tidegate_event::{Enriched, Hit};

use super::limits::Progress;
use crate::catalog::Source;
use crate::core::{Accepted, Core, Lookup, Newcomers, Refused, VisitorSegments};

/// Takes hits and answers for visitors.
pub trait Accept: Clone + Send + Sync + 'static {
    /// Steps 5 to 7 for one hit; see [`Core::accept`].
    fn accept(
        &self,
        source: &Source,
        hit: &Enriched<'_>,
        newcomers: &dyn Newcomers,
    ) -> impl Future<Output = Result<Accepted, Refused>> + Send;

    /// Whether a hit is a second copy, which costs no room; see [`Core::knows`].
    fn knows(&self, source: &Source, hit: &Hit<'_>) -> bool;

    /// Resolves when `offset` is durable; see [`Core::durable`].
    fn durable(&self, offset: u64) -> impl Future<Output = Result<(), Refused>> + Send;

    /// The current segments of one visitor; see [`Core::segments`].
    fn segments(
        &self,
        lookup: Lookup<'_>,
    ) -> impl Future<Output = Result<VisitorSegments, Refused>> + Send;

    /// How far the journal is: what admission measures the disk's delay by.
    fn progress(&self) -> Progress;
}

impl Accept for Core {
    fn accept(
        &self,
        source: &Source,
        hit: &Enriched<'_>,
        newcomers: &dyn Newcomers,
    ) -> impl Future<Output = Result<Accepted, Refused>> + Send {
        Self::accept(self, source, hit, newcomers)
    }

    fn knows(&self, source: &Source, hit: &Hit<'_>) -> bool {
        Self::knows(self, source, hit)
    }

    fn durable(&self, offset: u64) -> impl Future<Output = Result<(), Refused>> + Send {
        Self::durable(self, offset)
    }

    fn segments(
        &self,
        lookup: Lookup<'_>,
    ) -> impl Future<Output = Result<VisitorSegments, Refused>> + Send {
        Self::segments(self, lookup)
    }

    fn progress(&self) -> Progress {
        Progress {
            next: self.journal().next_offset(),
            durable: self.journal().durable(),
        }
    }
}
