//! Which segments a profile is in, with the epoch of its last change. Eight bytes a segment.

use serde::{Deserialize, Serialize};
use tidegate_event::{Change, SegmentId};

use crate::list::List;

/// One segment the profile was ever in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Membership {
    segment: SegmentId,
    /// The epoch, shifted left by one; the lowest bit is set for a member.
    epoch_and_member: u32,
}

/// A profile's memberships, ordered by segment key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memberships(List<Membership>);

/// The state of one membership.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MembershipState {
    /// Epoch of the last change; 0 before any.
    pub epoch: u32,
    /// A member now.
    pub member: bool,
}

impl Memberships {
    /// The state in one segment; epoch 0 and no member where it was never in it.
    #[must_use]
    pub fn get(&self, segment: SegmentId) -> MembershipState {
        self.0
            .binary_search_by_key(&segment, |m| m.segment)
            .map_or_else(
                |_| MembershipState::default(),
                |found| MembershipState {
                    epoch: self.0[found].epoch_and_member >> 1,
                    member: self.0[found].epoch_and_member & 1 == 1,
                },
            )
    }

    /// Sets the state in one segment.
    pub fn set(&mut self, segment: SegmentId, epoch: u32, member: bool) {
        let epoch_and_member = epoch << 1 | u32::from(member);
        match self.0.binary_search_by_key(&segment, |m| m.segment) {
            Ok(found) => self.0[found].epoch_and_member = epoch_and_member,
            Err(at) => {
                self.0.insert(
                    at,
                    Membership {
                        segment,
                        epoch_and_member,
                    },
                );
            }
        }
    }

    /// Takes a transition in.
    pub fn apply(&mut self, segment: SegmentId, change: Change, epoch: u32) {
        self.set(segment, epoch, change == Change::Enter);
    }

    /// Every segment it was ever in.
    pub fn iter(&self) -> impl Iterator<Item = (SegmentId, MembershipState)> + '_ {
        self.0.iter().map(|m| {
            let state = MembershipState {
                epoch: m.epoch_and_member >> 1,
                member: m.epoch_and_member & 1 == 1,
            };
            (m.segment, state)
        })
    }

    /// True where it was never in any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lifts each epoch to the other profile's where that is higher; membership stays.
    pub fn lift_epochs(&mut self, other: &Self) {
        for (segment, theirs) in other.iter() {
            let own = self.get(segment);
            if theirs.epoch > own.epoch {
                self.set(segment, theirs.epoch, own.member);
            }
        }
    }
}
