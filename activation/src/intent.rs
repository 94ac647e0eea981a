//! What is to be sent to destinations: as handed in, and as a row of the outbox. Another kind of
//! intent is a variant here, its key, its route and its rendering by the kinds of destination.

use serde::{Deserialize, Serialize};
use tidegate_event::{Change, ProfileId, SegmentId, Timestamp};

/// Something of a journal record that destinations may want, past the gates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A profile entered or left a segment.
    AudienceChange(AudienceChange),
}

/// What every intent has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Journal offset of its record; grows from call to call.
    pub offset: u64,
    /// Whom it is about.
    pub profile: ProfileId,
    /// The visitor's anonymousId, where known.
    pub anonymous_id: Option<String>,
    /// The person's id, where known.
    pub user_id: Option<String>,
    /// When it was decided.
    pub occurred_at: Timestamp,
}

/// A membership change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudienceChange {
    /// What every intent has.
    pub head: Head,
    /// Which segment.
    pub segment: String,
    /// Which way.
    pub change: Change,
    /// Grows with each change of this profile in this segment.
    pub epoch: u32,
    /// `merged`, where a merge ended the membership.
    pub reason: Option<String>,
    /// The profile that lives on, where a merge ended the membership.
    pub merged_into: Option<ProfileId>,
}

impl Intent {
    /// What every intent has.
    #[must_use]
    pub const fn head(&self) -> &Head {
        match self {
            Self::AudienceChange(change) => &change.head,
        }
    }

    /// Journal offset of its record.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.head().offset
    }

    /// What it is ordered by within a destination.
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::AudienceChange(change) => Key {
                profile: change.head.profile,
                segment: SegmentId::of(&change.segment),
            },
        }
    }

    /// Grows with each intent of its key.
    pub(crate) const fn epoch(&self) -> u32 {
        match self {
            Self::AudienceChange(change) => change.epoch,
        }
    }
}

/// Within a destination, what is delivered in order and parked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) profile: ProfileId,
    pub(crate) segment: SegmentId,
}

/// A row of the outbox: one intent for one destination.
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
        self.intent.key()
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
        intent.epoch() < self.epoch && intent.offset() <= self.offset
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn intent(profile: u128, epoch: u32, offset: u64) -> Intent {
        Intent::AudienceChange(change(profile, epoch, offset))
    }

    /// Odd epochs enter, even ones leave.
    pub(crate) fn change(profile: u128, epoch: u32, offset: u64) -> AudienceChange {
        AudienceChange {
            head: Head {
                offset,
                profile: ProfileId(profile),
                anonymous_id: Some("anon".to_owned()),
                user_id: None,
                occurred_at: Timestamp(1_795_355_327_974),
            },
            segment: "buyers".to_owned(),
            change: if epoch % 2 == 1 {
                Change::Enter
            } else {
                Change::Exit
            },
            epoch,
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
