//! One membership change on its way out: as handed in, and as a row of the outbox.

use serde::{Deserialize, Serialize};
use tidegate_event::{Change, ProfileId, SegmentId, Timestamp};

/// A membership change of a journal record, past the gates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Journal offset of its record; grows from call to call.
    pub offset: u64,
    /// Whose membership changed.
    pub profile: ProfileId,
    /// The visitor's anonymousId, where known.
    pub anonymous_id: Option<String>,
    /// The person's id, where known.
    pub user_id: Option<String>,
    /// Which segment.
    pub segment: String,
    /// Which way.
    pub change: Change,
    /// Grows with each change of this profile in this segment.
    pub epoch: u32,
    /// When it was decided.
    pub occurred_at: Timestamp,
    /// `merged`, where a merge ended the membership.
    pub reason: Option<String>,
    /// The profile that lives on, where a merge ended the membership.
    pub merged_into: Option<ProfileId>,
}

/// Within a destination, what is delivered in order and parked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) profile: ProfileId,
    pub(crate) segment: SegmentId,
}

impl Key {
    pub(crate) fn of(intent: &Intent) -> Self {
        Self {
            profile: intent.profile,
            segment: SegmentId::of(&intent.segment),
        }
    }
}

/// A row of the outbox: one change for one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) intent: Intent,
    pub(crate) queued_at: Timestamp,
    pub(crate) attempts: u32,
    pub(crate) last_status: Option<u16>,
}

impl Row {
    pub(crate) fn new(intent: &Intent, queued_at: Timestamp) -> Self {
        Self {
            intent: intent.clone(),
            queued_at,
            attempts: 0,
            last_status: None,
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key::of(&self.intent)
    }
}

/// The newest change of a key that was put on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempted {
    pub(crate) epoch: u32,
    pub(crate) offset: u64,
    pub(crate) at: Timestamp,
}

impl Attempted {
    /// True where sending `intent` now would undo something newer. The offset decides too: an
    /// erased profile starts again at epoch 1, at a higher offset.
    pub(crate) fn supersedes(&self, intent: &Intent) -> bool {
        intent.epoch < self.epoch && intent.offset <= self.offset
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn intent(profile: u128, epoch: u32, offset: u64) -> Intent {
        Intent {
            offset,
            profile: ProfileId(profile),
            anonymous_id: Some("anon".to_owned()),
            user_id: None,
            segment: "buyers".to_owned(),
            change: if epoch % 2 == 1 {
                Change::Enter
            } else {
                Change::Exit
            },
            epoch,
            occurred_at: Timestamp(1_795_355_327_974),
            reason: None,
            merged_into: None,
        }
    }

    #[test]
    fn only_an_older_epoch_at_no_later_offset_is_superseded() {
        let newest = Attempted {
            epoch: 5,
            offset: 100,
            at: Timestamp(0),
        };
        assert!(newest.supersedes(&intent(1, 4, 90)));
        assert!(
            newest.supersedes(&intent(1, 4, 100)),
            "an earlier change of the same record"
        );
        assert!(
            !newest.supersedes(&intent(1, 5, 100)),
            "a retry of the same"
        );
        assert!(!newest.supersedes(&intent(1, 6, 101)));
        assert!(
            !newest.supersedes(&intent(1, 1, 200)),
            "an erased profile starts again"
        );
    }
}
