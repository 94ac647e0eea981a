//! Which cursors a gateway needs, and what would be lost without each. Texts for people, who are
//! told before they drop one; the journal knows what is in use.

use super::{activation, kafka};
use crate::core::checkpoint;
use crate::settings::Settings;

/// What the loss of a cursor means.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// What may be gone for good.
    pub lost: &'static str,
    /// When it is needed no more.
    pub until: &'static str,
}

const EVERY_START: &str = "every gateway needs it, so it goes only by force: stop the gateway, then \
                           tidegate journal cursors drop NAME --force";

/// Why a cursor of this name is there; None where it is not one of ours.
#[must_use]
pub fn need(cursor: &str) -> Option<Need> {
    let (lost, until) = match cursor {
        checkpoint::CURSOR => (
            "the journal would let records go whose profiles, sessions and timers are not written yet: the next crash loses them",
            EVERY_START,
        ),
        activation::CURSOR => (
            "the journal would let records go whose changes are not queued yet: their callbacks are lost",
            EVERY_START,
        ),
        kafka::CURSOR => (
            "the journal would let records go that Kafka has not acknowledged: it never gets them",
            "take [kafka] out of the settings and restart, then drop it",
        ),
        _ => return None,
    };
    Some(Need { lost, until })
}

/// The need of a gateway that starts with these settings.
#[must_use]
pub fn need_at_start(cursor: &str, settings: &Settings) -> Option<Need> {
    need(cursor).filter(|_| cursor != kafka::CURSOR || settings.kafka.is_some())
}
