//! The bytes of an intent, in values of formats 1 and 2: the fields of an audience change, one after
//! the other. No other kind of intent was ever stored; the first one needs a format with a tag.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidegate_event::{Change, ProfileId, Timestamp};

use crate::intent::{AudienceChange, Head, Intent};

#[derive(Serialize)]
struct Written<'a> {
    offset: u64,
    profile: ProfileId,
    anonymous_id: Option<&'a str>,
    user_id: Option<&'a str>,
    segment: &'a str,
    change: Change,
    epoch: u32,
    occurred_at: Timestamp,
    reason: Option<&'a str>,
    merged_into: Option<ProfileId>,
}

#[derive(Deserialize)]
struct Read {
    offset: u64,
    profile: ProfileId,
    anonymous_id: Option<String>,
    user_id: Option<String>,
    segment: String,
    change: Change,
    epoch: u32,
    occurred_at: Timestamp,
    reason: Option<String>,
    merged_into: Option<ProfileId>,
}

impl Serialize for Intent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self::AudienceChange(change) = self;
        let head = &change.head;
        let written = Written {
            offset: head.offset,
            profile: head.profile,
            anonymous_id: head.anonymous_id.as_deref(),
            user_id: head.user_id.as_deref(),
            segment: &change.segment,
            change: change.change,
            epoch: change.epoch,
            occurred_at: head.occurred_at,
            reason: change.reason.as_deref(),
            merged_into: change.merged_into,
        };
        written.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Intent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::deserialize(deserializer)?;
        Ok(Self::AudienceChange(AudienceChange {
            head: Head {
                offset: read.offset,
                profile: read.profile,
                anonymous_id: read.anonymous_id,
                user_id: read.user_id,
                occurred_at: read.occurred_at,
            },
            segment: read.segment,
            change: read.change,
            epoch: read.epoch,
            reason: read.reason,
            merged_into: read.merged_into,
        }))
    }
}
