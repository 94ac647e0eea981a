//! The one entry for hits: fold, decide, journal.

use std::sync::Arc;

use tidegate_event::Enriched;

use crate::catalog::Source;

/// The live state with its journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Core {}

/// A hit whose record has an offset; not durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Await [`Core::durable`] for it before any 2xx.
    pub offset: u64,
    /// An earlier copy holds the offset: answer `duplicate`.
    pub duplicate: bool,
}

/// Why a hit was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No room in the journal; nothing was touched.
    #[error("no room in the journal, retry in {retry_after_s} s")]
    Full {
        /// Seconds.
        retry_after_s: u32,
    },
    /// The gateway stops, or its disk failed.
    #[error("the journal takes no more records")]
    Stopped,
    /// The record would be larger than the journal takes.
    #[error("the event is too large for one record")]
    TooLarge,
    /// The profile store failed to answer.
    #[error("the profile store failed")]
    Store,
}

/// Whose segments are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// By cookie id or anonymousId.
    Anonymous(&'a str),
    /// By user id.
    User(&'a str),
}

/// Answer of [`Core::segments`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisitorSegments {
    /// Names, in catalog order.
    pub segments: Vec<Arc<str>>,
    /// Offset up to which they are folded.
    pub as_of: u64,
}

impl Core {
    /// Steps 5 to 7 for one hit.
    ///
    /// # Errors
    /// [`Refused`], with nothing touched.
    pub async fn accept(&self, source: &Source, hit: &Enriched<'_>) -> Result<Accepted, Refused> {
        let _ = (source, hit);
        Err(Refused::Stopped)
    }

    /// Resolves when `offset` is durable (and acknowledged by Kafka, where `ack` says so).
    ///
    /// # Errors
    /// [`Refused::Stopped`] where it never will be.
    pub async fn durable(&self, offset: u64) -> Result<(), Refused> {
        let _ = offset;
        Err(Refused::Stopped)
    }

    /// The current segments of one visitor; empty for an unknown one.
    ///
    /// # Errors
    /// [`Refused::Store`]
    pub async fn segments(&self, lookup: Lookup<'_>) -> Result<VisitorSegments, Refused> {
        let _ = lookup;
        Ok(VisitorSegments::default())
    }
}
