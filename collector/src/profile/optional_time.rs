//! A point in time that may be absent, in the eight bytes of one that is not. At rest it looks as
//! any optional time does.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidegate_event::Timestamp;

/// `Option<Timestamp>` in half the room. The last millisecond that fits stands for none: it lies
/// 292 million years ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionalTime(Timestamp);

impl OptionalTime {
    /// Absent.
    pub const NONE: Self = Self(Timestamp(i64::MAX));

    /// The time, where there is one.
    #[must_use]
    pub fn get(self) -> Option<Timestamp> {
        (self != Self::NONE).then_some(self.0)
    }

    /// True where it is absent or later than `at`.
    #[must_use]
    pub fn is_after(self, at: Timestamp) -> bool {
        self.0 > at
    }
}

impl From<Option<Timestamp>> for OptionalTime {
    fn from(at: Option<Timestamp>) -> Self {
        at.map_or(Self::NONE, Self)
    }
}

impl Serialize for OptionalTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.get().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OptionalTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::from)
    }
}
