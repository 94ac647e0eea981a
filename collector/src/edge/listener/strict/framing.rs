//! Where each HTTP/1.1 message of a connection begins and ends, and whether that is beyond doubt.
//! Pure: bytes in, a verdict out. Names and values are hyper's to check.
//!
//! Refused: a line of the head or of chunked framing that ends in a bare LF; both Content-Length
//! and Transfer-Encoding; either of them twice, even where they agree; a length that is not plain
//! digits; a transfer coding that is not just `chunked`; a folded line.

use memchr::memchr;

/// Bytes of a line that says where a message ends, at most; a longer one is in doubt. Of other
/// lines that arrive in pieces no more is kept.
const LINE_BYTES_MAX: usize = 64;
/// The first line of HTTP/2 with prior knowledge; no HTTP/1.1 message begins so.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r";

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The request line, or an empty line before it.
    RequestLine,
    /// A header line, or the empty one after them.
    Header,
    /// So many bytes of a body.
    Body(u64),
    /// A chunk's length.
    ChunkSize,
    /// So many bytes of a chunk.
    Chunk(u64),
    /// The line end after a chunk's bytes.
    ChunkEnd,
    /// A trailer line, or the empty one after them.
    Trailer,
    /// Nothing to follow: HTTP/2.
    Unchecked,
    /// Nothing any more: a message was in doubt.
    Refused,
}

/// What the headers so far say of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Unsaid,
    Bytes(u64),
    Chunked,
}

/// More than one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InDoubt {
    /// Of where a line ends.
    BareLf,
    /// Of where the message does.
    Length,
}

/// Follows one connection.
#[derive(Debug)]
pub(super) struct Framing {
    part: Part,
    length: Length,
    /// The beginning of a line that has not arrived whole.
    line: Vec<u8>,
    /// Whether a message was seen already; only before the first one may be HTTP/2.
    begun: bool,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            part: Part::RequestLine,
            length: Length::Unsaid,
            line: Vec::new(),
            begun: false,
        }
    }
}

impl Framing {
    /// Follows nothing.
    pub(super) fn unchecked() -> Self {
        Self {
            part: Part::Unchecked,
            ..Self::default()
        }
    }

    /// Whether a head has begun and not ended. Of HTTP/2 that is never known.
    pub(super) fn head_is_open(&self) -> bool {
        match self.part {
            Part::RequestLine => !self.line.is_empty(),
            Part::Header => true,
            Part::Body(_)
            | Part::ChunkSize
            | Part::Chunk(_)
            | Part::ChunkEnd
            | Part::Trailer
            | Part::Unchecked
            | Part::Refused => false,
        }
    }

    /// Whether a message left a doubt, since when nothing is followed any more.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.part, Part::Refused)
    }

    /// Follows the next bytes of the connection. So many of them may be read: all, or those before
    /// the end of the first line that leaves a doubt.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match self.part {
                Part::Unchecked => return bytes.len(),
                Part::Refused => return at,
                Part::Body(left) => {
                    let taken = shorter(left, rest.len());
                    self.part = match left - taken as u64 {
                        0 => Part::RequestLine,
                        left => Part::Body(left),
                    };
                    taken
                }
                Part::Chunk(left) => {
                    let taken = shorter(left, rest.len());
                    self.part = match left - taken as u64 {
                        0 => Part::ChunkEnd,
                        left => Part::Chunk(left),
                    };
                    taken
                }
                Part::RequestLine
                | Part::Header
                | Part::ChunkSize
                | Part::ChunkEnd
                | Part::Trailer => {
                    let Some(end) = memchr(b'\n', rest) else {
                        self.keep(rest);
                        return bytes.len();
                    };
                    if let Err(doubt) = self.line_ended(&rest[..end]) {
                        // Within a chunk's extension hyper takes any byte but this very one.
                        let is_refused_by_hyper =
                            self.part == Part::ChunkSize && doubt == InDoubt::BareLf;
                        self.part = Part::Refused;
                        return at + end + usize::from(is_refused_by_hyper);
                    }
                    end + 1
                }
            };
        }
        at
    }

    fn keep(&mut self, rest: &[u8]) {
        // One more than that tells a line that is too long from one that just fits.
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(&rest[..rest.len().min(room)]);
        // How it ended is needed of every line, however long.
        if rest.len() > room
            && let (Some(kept), Some(last)) = (self.line.last_mut(), rest.last())
        {
            *kept = *last;
        }
    }

    /// A line without its LF, `tail` being what arrived of it now.
    fn line_ended(&mut self, tail: &[u8]) -> Result<(), InDoubt> {
        if self.line.is_empty() {
            return self.line_is(tail);
        }
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(tail);
        let read = self.line_is(&line);
        line.clear();
        self.line = line;
        read
    }

    fn line_is(&mut self, line: &[u8]) -> Result<(), InDoubt> {
        let Some(text) = line.strip_suffix(b"\r") else {
            return Err(InDoubt::BareLf);
        };
        self.part = match self.part {
            Part::RequestLine if text.is_empty() => Part::RequestLine,
            Part::RequestLine if !self.begun && line == HTTP2_PREFACE => Part::Unchecked,
            Part::RequestLine => {
                self.begun = true;
                self.length = Length::Unsaid;
                Part::Header
            }
            Part::Header if text.is_empty() => match self.length {
                Length::Unsaid | Length::Bytes(0) => Part::RequestLine,
                Length::Bytes(bytes) => Part::Body(bytes),
                Length::Chunked => Part::ChunkSize,
            },
            Part::Header => {
                self.header(text)?;
                Part::Header
            }
            Part::ChunkSize if line.len() > LINE_BYTES_MAX => return Err(InDoubt::Length),
            Part::ChunkSize => match chunk_size(text)? {
                0 => Part::Trailer,
                bytes => Part::Chunk(bytes),
            },
            Part::ChunkEnd if text.is_empty() => Part::ChunkSize,
            Part::ChunkEnd => return Err(InDoubt::Length),
            Part::Trailer if text.is_empty() => Part::RequestLine,
            Part::Trailer => Part::Trailer,
            part @ (Part::Body(_) | Part::Chunk(_) | Part::Unchecked | Part::Refused) => part,
        };
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), InDoubt> {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(InDoubt::Length);
        }
        let length = if let Some(value) = value_of(line, b"content-length") {
            Length::Bytes(number(value, 10)?)
        } else if let Some(value) = value_of(line, b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(InDoubt::Length);
            }
            Length::Chunked
        } else {
            return Ok(());
        };
        if self.length != Length::Unsaid || line.len() >= LINE_BYTES_MAX {
            return Err(InDoubt::Length);
        }
        self.length = length;
        Ok(())
    }
}

fn shorter(left: u64, here: usize) -> usize {
    usize::try_from(left).map_or(here, |left| left.min(here))
}

/// The value, without the blanks around it, where the line has this name. Blanks before the colon
/// are an error, which hyper finds.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (found, value) = (line.get(..name.len())?, line.get(name.len()..)?);
    if !found.eq_ignore_ascii_case(name) {
        return None;
    }
    Some(value.strip_prefix(b":")?.trim_ascii())
}

/// A chunk's length, before any extension (RFC 9112, section 7.1).
fn chunk_size(line: &[u8]) -> Result<u64, InDoubt> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or(line);
    number(digits.trim_ascii_end(), 16)
}

fn number(digits: &[u8], radix: u32) -> Result<u64, InDoubt> {
    // `from_str_radix` would take a sign.
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).map_err(|_| InDoubt::Length)?;
    match u64::from_str_radix(text, radix) {
        Ok(number) if plain => Ok(number),
        Ok(_) | Err(_) => Err(InDoubt::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether these bytes pass, read in pieces of this size; then all of them do.
    fn passes(bytes: &[u8], piece: usize) -> bool {
        let mut framing = Framing::default();
        let pieces = bytes.chunks(piece);
        let passing: usize = pieces.map(|piece| framing.follow(piece)).sum();
        assert!(framing.is_refused() || passing == bytes.len());
        !framing.is_refused()
    }

    const GOOD: &[&str] = &[
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\na\nb\nc\n\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length:0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n4;a=b\r\na\nb\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\n\n\n",
        "GET / HTTP/1.1\r\nx-content-length: 1\r\ncontent-length-x: 2\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ];

    const IN_DOUBT: &[&str] = &[
        "GET / HTTP/1.1\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\n",
        "GET / HTTP/1.1\r\nx: y\r\n folded\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
        "POST / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\na",
        "POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\ncontent-length: a\r\n\r\na",
        "POST / HTTP/1.1\r\ncontent-length:\r\n\r\na",
        "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\na",
        "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1;a\nb\r\na\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nax\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0\r\n\r\n\n",
    ];

    #[test]
    fn what_has_one_reading_passes_however_it_arrives() {
        for bytes in GOOD {
            for piece in 1..=bytes.len() {
                assert!(passes(bytes.as_bytes(), piece), "{bytes:?} by {piece}");
            }
        }
    }

    #[test]
    fn what_has_two_readings_is_refused_however_it_arrives() {
        for bytes in IN_DOUBT {
            for piece in 1..=bytes.len() {
                assert!(!passes(bytes.as_bytes(), piece), "{bytes:?} by {piece}");
            }
        }
    }

    #[test]
    fn a_long_line_is_followed_without_being_kept() {
        let long = "x".repeat(100_000);
        let text = format!("GET /{long} HTTP/1.1\r\nx: {long}\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        assert!(passes(text.as_bytes(), 4_096));
        let text = format!("GET /{long} HTTP/1.1\nx: {long}\r\n\r\n");
        assert!(!passes(text.as_bytes(), 4_096));
        let text = format!(
            "POST / HTTP/1.1\r\ncontent-length: {}1\r\n\r\n",
            " ".repeat(99)
        );
        assert!(!passes(text.as_bytes(), 10));
    }

    #[test]
    fn a_head_is_open_from_its_first_byte_to_its_last() {
        let mut framing = Framing::default();
        assert!(!framing.head_is_open());
        let message = b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n";
        for byte in &message[..message.len() - 1] {
            framing.follow(&[*byte]);
            assert!(framing.head_is_open());
        }
        framing.follow(b"\n");
        assert!(!framing.head_is_open(), "the body is next");
        framing.follow(b"a");
        assert!(!framing.head_is_open());
        framing.follow(b"GET / HTTP/1.1\r\n\r\nG");
        assert!(framing.head_is_open(), "of the next one");
    }

    proptest! {
        #[test]
        fn bodies_and_chunks_may_hold_anything(body: Vec<u8>, piece in 1usize..50) {
            let head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", body.len());
            let next = b"GET / HTTP/1.1\r\n\r\n";
            prop_assert!(passes(&[head.as_bytes(), &body, next].concat(), piece));
            let head = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len().max(1));
            let body = if body.is_empty() { vec![b'\n'] } else { body };
            let end = b"\r\n0\r\n\r\n";
            prop_assert!(passes(&[head.as_bytes(), &body, end, next].concat(), piece));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_pieces_do_not_matter(bytes: Vec<u8>, piece in 1usize..9) {
            prop_assert_eq!(passes(&bytes, piece), passes(&bytes, bytes.len().max(1)));
        }
    }
}
