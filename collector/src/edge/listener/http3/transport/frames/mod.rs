//! The frames of one HTTP/3 stream, read in front of h3 (RFC 9114, section 7). h3 0.0.8 gathers a
//! frame of any announced length before it looks at its type, and waits for ever for the rest of a
//! frame that is too short for what it should hold.
//!
//! - Frames that h3 reads whole come to it whole, in one piece, and are held until then. One above its
//!   bound is refused by its header alone.
//! - DATA passes in the pieces it comes in. Empty DATA frames are left out: h3 takes one for the end.
//! - Frames of unknown types are left out as they come (section 9); nothing of them is held.
//!
//! Pure: bytes in, bytes out. What a connection may cost is counted by the caller.

use bytes::{Buf, Bytes, BytesMut};

use super::varint;
use super::violation::Violation;

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
const CANCEL_PUSH: u64 = 0x3;
const SETTINGS: u64 = 0x4;
const PUSH_PROMISE: u64 = 0x5;
const GOAWAY: u64 = 0x7;
const MAX_PUSH_ID: u64 = 0xd;
/// PRIORITY, PING, WINDOW_UPDATE and CONTINUATION of HTTP/2.
const OF_HTTP2: [u64; 4] = [0x2, 0x6, 0x8, 0x9];

/// Browsers send some 30 bytes.
const SETTINGS_BYTES_MAX: usize = 1_024;
/// Type and length.
const HEADER_BYTES_MAX: usize = 2 * varint::BYTES_MAX;
/// A DATA frame with fewer bytes counts as useless: its header and the work for it cost more.
const DATA_BYTES_MIN: u64 = 32;
/// What a useless frame costs, in bytes that carry nothing.
pub(super) const FRAME_COST: u64 = 1_024;

/// Which frames may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamKind {
    /// A request's stream.
    Request,
    /// The client's control stream.
    Control,
}

/// What became of the bytes that were read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// For h3; never empty.
    pub(super) pass: Option<Bytes>,
    /// `pass` begins a DATA frame and holds some of its content.
    pub(super) begins_data: bool,
    /// Bytes that carried nothing, or cost as much as so many.
    pub(super) cost: u64,
}

/// Reads the frames of one stream.
#[derive(Debug)]
pub(super) struct Frames {
    kind: StreamKind,
    headers_max: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Header(Header),
    /// Content of a DATA frame.
    Data {
        left: u64,
    },
    /// Content of a frame that is left out.
    Unknown {
        left: u64,
    },
    /// A frame that passes when it is complete.
    Whole {
        frame: u64,
        /// From its header on.
        held: BytesMut,
        left: usize,
    },
}

/// What happens to a frame's content.
enum Treatment {
    Pass,
    LeaveOut,
    /// Of so many bytes.
    Gather(usize),
}

impl Frames {
    /// `headers_max` bytes may a HEADERS frame have.
    pub(super) fn new(kind: StreamKind, headers_max: usize) -> Self {
        Self {
            kind,
            headers_max,
            state: State::Header(Header::default()),
        }
    }

    /// Reads from the front of `input`. None once there is nothing left to read.
    ///
    /// # Errors
    /// Where the connection has to be closed.
    pub(super) fn read(&mut self, input: &mut Bytes) -> Result<Option<Step>, Violation> {
        if input.is_empty() {
            return Ok(None);
        }
        let step = match &mut self.state {
            State::Header(_) => return self.header(input),
            State::Data { left } => Step {
                pass: Some(take(left, input)),
                ..Step::default()
            },
            State::Unknown { left } => Step {
                cost: take(left, input).len() as u64,
                ..Step::default()
            },
            State::Whole { .. } => return self.gathered(input),
        };
        if let State::Data { left: 0 } | State::Unknown { left: 0 } = self.state {
            self.state = State::Header(Header::default());
        }
        Ok(Some(step))
    }

    /// Whether the stream may end here.
    ///
    /// # Errors
    /// [`Violation::Truncated`]
    pub(super) fn end(&self) -> Result<(), Violation> {
        match &self.state {
            State::Header(header) if header.length == 0 => Ok(()),
            _ => Err(Violation::Truncated),
        }
    }

    /// Bytes held of a frame that is incomplete.
    pub(super) fn held(&self) -> usize {
        match &self.state {
            State::Whole { held, .. } => held.len(),
            State::Header(_) | State::Data { .. } | State::Unknown { .. } => 0,
        }
    }

    fn header(&mut self, input: &mut Bytes) -> Result<Option<Step>, Violation> {
        let State::Header(header) = &mut self.state else {
            return Ok(None);
        };
        // Then header and content stand side by side in `input`, and pass without a copy.
        let in_one_piece = header.length == 0;
        let Some((read, frame, bytes)) = header.read(input) else {
            input.clear();
            return Ok(None);
        };
        let header = *header;
        match self.treatment(frame, bytes)? {
            Treatment::LeaveOut => {
                input.advance(read);
                self.begin(State::Unknown { left: bytes }, bytes);
                Ok(Some(Step {
                    cost: FRAME_COST,
                    ..Step::default()
                }))
            }
            Treatment::Pass => {
                let here = bytes.min((input.len() - read) as u64);
                let (pass, content) = if in_one_piece {
                    let content = usize::try_from(here).unwrap_or(0);
                    (input.split_to(read + content), here)
                } else {
                    input.advance(read);
                    (Bytes::copy_from_slice(header.bytes()), 0)
                };
                let left = bytes - content;
                self.begin(State::Data { left }, left);
                Ok(Some(Step {
                    pass: Some(pass),
                    begins_data: content > 0,
                    cost: if bytes < DATA_BYTES_MIN {
                        FRAME_COST
                    } else {
                        0
                    },
                }))
            }
            Treatment::Gather(bytes) if in_one_piece && input.len() - read >= bytes => {
                self.state = State::Header(Header::default());
                Self::whole(frame, input.split_to(read + bytes)).map(Some)
            }
            Treatment::Gather(left) => {
                input.advance(read);
                let held = BytesMut::from(header.bytes());
                self.state = State::Whole { frame, held, left };
                if left == 0 {
                    self.gathered(&mut Bytes::new())
                } else {
                    self.read(input)
                }
            }
        }
    }

    /// A frame with content goes on; one without is over.
    fn begin(&mut self, state: State, left: u64) {
        self.state = match left {
            0 => State::Header(Header::default()),
            _ => state,
        };
    }

    fn treatment(&self, frame: u64, bytes: u64) -> Result<Treatment, Violation> {
        let within = |bytes_max: usize| match usize::try_from(bytes) {
            Ok(bytes) if bytes <= bytes_max => Ok(Treatment::Gather(bytes)),
            _ => Err(Violation::TooLarge {
                frame,
                bytes,
                bytes_max,
            }),
        };
        match (frame, self.kind) {
            (DATA, StreamKind::Request) if bytes == 0 => Ok(Treatment::LeaveOut),
            (DATA, StreamKind::Request) => Ok(Treatment::Pass),
            (HEADERS, StreamKind::Request) => within(self.headers_max),
            (SETTINGS, StreamKind::Control) => within(SETTINGS_BYTES_MAX),
            (CANCEL_PUSH | GOAWAY | MAX_PUSH_ID, StreamKind::Control) => within(varint::BYTES_MAX),
            (DATA | HEADERS, StreamKind::Control)
            | (SETTINGS | CANCEL_PUSH | GOAWAY | MAX_PUSH_ID, StreamKind::Request)
            | (PUSH_PROMISE, _) => Err(Violation::Unexpected { frame }),
            _ if OF_HTTP2.contains(&frame) => Err(Violation::Unexpected { frame }),
            _ => Ok(Treatment::LeaveOut),
        }
    }

    /// Adds to the frame that is gathered; passes it when it is complete.
    fn gathered(&mut self, input: &mut Bytes) -> Result<Option<Step>, Violation> {
        let State::Whole { frame, held, left } = &mut self.state else {
            return Ok(None);
        };
        let piece = input.split_to((*left).min(input.len()));
        held.extend_from_slice(&piece);
        *left -= piece.len();
        if *left > 0 {
            return Ok(None);
        }
        let (frame, whole) = (*frame, held.split().freeze());
        self.state = State::Header(Header::default());
        Self::whole(frame, whole).map(Some)
    }

    /// A complete frame, from its header on.
    fn whole(frame: u64, whole: Bytes) -> Result<Step, Violation> {
        let is_integer = matches!(frame, CANCEL_PUSH | GOAWAY | MAX_PUSH_ID);
        if is_integer && !holds_one_integer(&whole) {
            return Err(Violation::Malformed { frame });
        }
        Ok(Step {
            pass: Some(whole),
            begins_data: false,
            cost: if is_integer { FRAME_COST } else { 0 },
        })
    }
}

/// What there is of `left` bytes.
fn take(left: &mut u64, input: &mut Bytes) -> Bytes {
    let here = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    *left -= here as u64;
    input.split_to(here)
}

/// h3 waits for the rest of an integer beyond the end of its frame.
fn holds_one_integer(whole: &[u8]) -> bool {
    let content = varint::first(whole).and_then(|(_, kind)| {
        let length = varint::first(whole.get(kind..)?)?.1;
        whole.get(kind + length..)
    });
    content.is_some_and(|content| {
        varint::first(content).is_some_and(|(_, length)| length == content.len())
    })
}

/// Type and length of a frame, as far as they are there.
#[derive(Clone, Copy, Debug, Default)]
struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    length: usize,
}

impl Header {
    /// Takes the bytes that are missing from `input`. Once complete: how many these are, the frame's
    /// type, and the length of its content.
    fn read(&mut self, input: &[u8]) -> Option<(usize, u64, u64)> {
        for (index, byte) in input.iter().enumerate() {
            *self.bytes.get_mut(self.length)? = *byte;
            self.length += 1;
            if let Some((frame, bytes)) = self.parsed() {
                return Some((index + 1, frame, bytes));
            }
        }
        None
    }

    fn parsed(&self) -> Option<(u64, u64)> {
        let (frame, length) = varint::first(self.bytes())?;
        let (bytes, _) = varint::first(self.bytes().get(length..)?)?;
        Some((frame, bytes))
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests;
