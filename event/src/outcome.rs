//! The closed list of ends that a hit can come to (invariant 4: exactly one each).

use serde::{Deserialize, Serialize};

/// How one received event ended. The words are part of the HTTP answer and of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Durable in the journal.
    Accepted,
    /// An earlier copy with the same key is durable.
    Duplicate,
    /// Refused by the visitor; counted, not stored.
    ConsentDenied,
    /// Readable request, event that breaks a rule.
    Invalid,
    /// Larger than a named limit.
    TooLarge,
    /// No source has this write key, or its origin is not registered.
    Unauthorized,
    /// Over a rate limit.
    RateLimited,
    /// No room to make it durable now.
    Overloaded,
    /// Our fault: dropped unfinished.
    Internal,
}

impl Outcome {
    /// Every outcome, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::Duplicate,
        Self::ConsentDenied,
        Self::Invalid,
        Self::TooLarge,
        Self::Unauthorized,
        Self::RateLimited,
        Self::Overloaded,
        Self::Internal,
    ];

    /// The word used in answers, metrics and bad rows.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::ConsentDenied => "consent_denied",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
        }
    }

    /// True where the client has nothing to mend or repeat.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Accepted | Self::Duplicate | Self::ConsentDenied)
    }
}
