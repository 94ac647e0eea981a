//! Why a hit was not taken, and what is logged and counted when the profile store was the cause.

use super::metrics::CoreMetrics;
use super::resolve::Unresolved;
use crate::profile::store::StoreError;

/// Seconds after which an event that met a full memory can be sent again: one eviction.
const FULL_RETRY_AFTER_S: u32 = 2;

/// Seconds after which a store that failed is open again, where the disk has room.
const REOPENED_AFTER_S: u32 = 5;

/// Why a hit was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No room in the journal; nothing was touched.
    #[error("no room in the journal, retry in {retry_after_s} s")]
    Full {
        /// Seconds.
        retry_after_s: u32,
    },
    /// The event is in the journal, but `ack = "kafka"` waited in vain. A second copy finds it.
    #[error("kafka did not acknowledge the event in time, retry in {retry_after_s} s")]
    Unacknowledged {
        /// Seconds.
        retry_after_s: u32,
    },
    /// Another copy of the event claimed it and did not come to an end while we looked; nothing was
    /// touched.
    #[error("another copy of the event is still being taken, retry in {retry_after_s} s")]
    CopyPending {
        /// Seconds.
        retry_after_s: u32,
    },
    /// The client's address made as many new profiles as it may; nothing was touched.
    #[error("too many new profiles from this address, retry in {retry_after_s} s")]
    NewProfiles {
        /// Seconds.
        retry_after_s: u32,
    },
    /// `profiles.live_max` and its slack are in memory; nothing was touched.
    #[error("no room for another profile in memory, retry in {retry_after_s} s")]
    ProfilesFull {
        /// Seconds.
        retry_after_s: u32,
    },
    /// Other events changed the same profiles at every try; nothing was touched.
    #[error("other events of the same person came first, retry in {retry_after_s} s")]
    Contended {
        /// Seconds.
        retry_after_s: u32,
    },
    /// The gateway stops, or its disk failed.
    #[error("the journal takes no more records")]
    Stopped,
    /// The record would be larger than the journal takes.
    #[error("the event is too large for one record")]
    TooLarge,
    /// A write to the profile store failed, as on a full disk, and it is not open again yet; nothing
    /// was touched.
    #[error("the profile store is being opened again, retry in {retry_after_s} s")]
    StoreClosed {
        /// Seconds.
        retry_after_s: u32,
    },
    /// What the profile store holds of this person cannot be read.
    #[error("the profile store failed")]
    Store,
}

/// Asked before a hit makes a new profile.
pub trait Newcomers: Sync {
    /// Takes one new profile off what the hit's sender may make.
    ///
    /// # Errors
    /// Seconds after which it may make another.
    fn take(&self) -> Result<(), u32>;
}

/// As many as come.
#[derive(Clone, Copy, Debug)]
pub struct Unlimited;

impl Newcomers for Unlimited {
    fn take(&self) -> Result<(), u32> {
        Ok(())
    }
}

impl CoreMetrics {
    /// How a hit ends whose person was not found or made.
    pub(super) fn unresolved(&self, why: &Unresolved) -> Refused {
        match why {
            Unresolved::Store(error) => self.refuse(error),
            Unresolved::NewProfiles { retry_after_s } => {
                self.profiles_limited.inc();
                Refused::NewProfiles {
                    retry_after_s: *retry_after_s,
                }
            }
        }
    }

    /// Logs and counts what the profile store answered, and says how the hit ends.
    pub(super) fn refuse(&self, error: &StoreError) -> Refused {
        match error {
            StoreError::MemoryFull { .. } => {
                self.profiles_refused.inc();
                tracing::warn!(%error, "an event was refused");
                Refused::ProfilesFull {
                    retry_after_s: FULL_RETRY_AFTER_S,
                }
            }
            StoreError::Contended { .. } => {
                self.profiles_contended.inc();
                tracing::warn!(%error, "an event was refused");
                Refused::Contended { retry_after_s: 1 }
            }
            StoreError::Database(_) | StoreError::Closed => {
                self.store_errors.inc();
                tracing::warn!(%error, "an event was refused");
                Refused::StoreClosed {
                    retry_after_s: REOPENED_AFTER_S,
                }
            }
            _ => {
                self.store_errors.inc();
                tracing::error!(%error, "the profile store failed for an event");
                Refused::Store
            }
        }
    }
}
