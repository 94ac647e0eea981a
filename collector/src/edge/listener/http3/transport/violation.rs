//! Why a connection is closed before h3 sees what its client sent, and the error code that says so.

use h3::error::Code;

use crate::edge::metrics::Cut;

/// What a client did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::edge::listener) enum Violation {
    /// A frame that has to be held whole is larger than its bound.
    #[error("a frame of type {frame:#x} announces {bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// Its type.
        frame: u64,
        /// Its length.
        bytes: u64,
        /// The bound.
        bytes_max: usize,
    },
    /// The frames that are incomplete are too large together.
    #[error("frames that are incomplete hold more than {bytes_max} bytes")]
    HoldsTooMuch {
        /// The bound.
        bytes_max: usize,
    },
    /// Too much was sent that carries nothing.
    #[error("too many frames and bytes that carry nothing")]
    Flood,
    /// A type that has no place on this stream.
    #[error("a frame of type {frame:#x} is not allowed on this stream")]
    Unexpected {
        /// Its type.
        frame: u64,
    },
    /// Not one integer where there has to be exactly that.
    #[error("a frame of type {frame:#x} is not exactly one integer")]
    Malformed {
        /// Its type.
        frame: u64,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    Truncated,
    /// A stream that may exist once.
    #[error("a second stream of type {stream:#x}")]
    SecondStream {
        /// Its type.
        stream: u64,
    },
}

impl Violation {
    /// What the client is told (RFC 9114, section 8.1).
    pub(super) const fn code(self) -> Code {
        match self {
            Self::TooLarge { .. } | Self::HoldsTooMuch { .. } | Self::Flood => {
                Code::H3_EXCESSIVE_LOAD
            }
            Self::Unexpected { .. } => Code::H3_FRAME_UNEXPECTED,
            Self::Malformed { .. } | Self::Truncated => Code::H3_FRAME_ERROR,
            Self::SecondStream { .. } => Code::H3_STREAM_CREATION_ERROR,
        }
    }

    /// What it counts as.
    pub(in crate::edge::listener) const fn cut(self) -> Cut {
        match self {
            Self::TooLarge { .. } => Cut::HeadTooLarge,
            Self::HoldsTooMuch { .. } | Self::Flood => Cut::Flood,
            Self::Unexpected { .. }
            | Self::Malformed { .. }
            | Self::Truncated
            | Self::SecondStream { .. } => Cut::Malformed,
        }
    }
}
