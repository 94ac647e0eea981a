//! Why a request or an event was refused. Reasons name the fault and its place, never a value.

use tidegate_event::Outcome;

/// The request as a whole; it counts as one received event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// No body, or a batch without events.
    #[error("the request holds no event")]
    Empty,
    /// Some bytes are no text.
    #[error("the body is not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// Broken JSON.
    #[error("the body is not JSON: fault at line {line}, column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// JSON, but no object.
    #[error("the body must be a JSON object: one event, or {{\"batch\": [...]}}")]
    NotAnObject,
    /// `batch` is there and is no array.
    #[error("batch must be an array of events")]
    BatchNotAnArray,
    /// More events than one request may hold.
    #[error("the batch holds more than {max} events")]
    TooManyEvents {
        /// The limit.
        max: usize,
    },
    /// The pixel's `data` parameter does not decode.
    #[error("the data parameter is not base64")]
    NotBase64,
}

impl Unreadable {
    /// How the request ends.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::TooManyEvents { .. } => Outcome::TooLarge,
            Self::Empty
            | Self::NotUtf8 { .. }
            | Self::NotJson { .. }
            | Self::NotAnObject
            | Self::BatchNotAnArray
            | Self::NotBase64 => Outcome::Invalid,
        }
    }
}

/// One event of a readable request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Over the event limit.
    #[error("the event is {bytes} bytes long, at most {max} are taken")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Over the event limit with what its batch lends it.
    #[error(
        "the event is {bytes} bytes long with the context of its batch, at most {max} are taken"
    )]
    TooLargeInBatch {
        /// Of both.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// What a batch lends, counted once for each event, is over its limit.
    #[error(
        "the context of the batch is more than {max} bytes, counted once for each event: send fewer events in one batch"
    )]
    LendsTooMuch {
        /// The limit.
        max: usize,
    },
    /// A value of another JSON type.
    #[error("{path} must be {expected}")]
    WrongType {
        /// JSON path.
        path: &'static str,
        /// What is taken, with its article.
        expected: &'static str,
    },
    /// A required member is absent, null or empty.
    #[error("{path} is required")]
    Missing {
        /// JSON path.
        path: &'static str,
    },
    /// Text over its limit.
    #[error("{path} is longer than {max} bytes")]
    TooLong {
        /// JSON path.
        path: &'static str,
        /// The limit.
        max: usize,
    },
    /// `type` is none of the six calls.
    #[error("type must be track, page, screen, identify, group or alias")]
    UnknownType,
    /// A time that does not parse.
    #[error("{path} must be an ISO 8601 time, or seconds or milliseconds since 1970")]
    BadTimestamp {
        /// JSON path.
        path: &'static str,
    },
    /// Nested too deeply.
    #[error("{path} is nested deeper than {max} levels")]
    TooDeep {
        /// JSON path.
        path: &'static str,
        /// The limit.
        max: usize,
    },
    /// An object with too many members.
    #[error("{path} holds an object of more than {max} members")]
    TooManyMembers {
        /// JSON path.
        path: &'static str,
        /// The limit.
        max: usize,
    },
    /// Well-formed JSON with a number out of range or half of a surrogate pair.
    #[error("{path} holds a number out of range or a broken unicode escape at byte {at}")]
    BadValue {
        /// JSON path.
        path: &'static str,
        /// Offset in that member's text, roughly.
        at: usize,
    },
    /// Bytes that are not UTF-8, or a control character that is not escaped.
    #[error(
        "the event holds bytes that are no text at byte {at}: UTF-8 is taken, with control characters escaped"
    )]
    NotText {
        /// Offset of the first in the event's text.
        at: usize,
    },
    /// A word that is no JSON value, or a comma with nothing behind it.
    #[error(
        "the event is not JSON at byte {at}: a word such as NaN, Infinity or undefined, or a trailing comma"
    )]
    NotJson {
        /// Offset of the first in the event's text, roughly.
        at: usize,
    },
}

impl DecodeError {
    /// JSON path of the fault; `$` is the event itself.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        match self {
            Self::TooLarge { .. }
            | Self::TooLargeInBatch { .. }
            | Self::LendsTooMuch { .. }
            | Self::NotText { .. }
            | Self::NotJson { .. } => "$",
            Self::UnknownType => "type",
            Self::WrongType { path, .. }
            | Self::Missing { path }
            | Self::TooLong { path, .. }
            | Self::BadTimestamp { path }
            | Self::TooDeep { path, .. }
            | Self::TooManyMembers { path, .. }
            | Self::BadValue { path, .. } => path,
        }
    }

    /// How the event ends.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::TooLarge { .. } | Self::TooLargeInBatch { .. } | Self::LendsTooMuch { .. } => {
                Outcome::TooLarge
            }
            Self::WrongType { .. }
            | Self::Missing { .. }
            | Self::TooLong { .. }
            | Self::UnknownType
            | Self::BadTimestamp { .. }
            | Self::TooDeep { .. }
            | Self::TooManyMembers { .. }
            | Self::BadValue { .. }
            | Self::NotText { .. }
            | Self::NotJson { .. } => Outcome::Invalid,
        }
    }
}
