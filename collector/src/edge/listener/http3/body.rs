//! The body of one HTTP/3 request, as every other body is read. Holds the client to the length that
//! it announced (RFC 9114, section 4.1.2).

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame, SizeHint};

use super::transport::Receiving;

/// What the headers say of a body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Nothing.
    Unsaid,
    /// So many bytes.
    Bytes(u64),
}

impl Length {
    /// None where they contradict themselves or say no number.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
        let Some(length) = lengths.next() else {
            return Some(Self::Unsaid);
        };
        let digits = length.to_str().ok()?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let bytes = digits.parse().ok()?;
        (plain && lengths.next().is_none()).then_some(Self::Bytes(bytes))
    }
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokenOff {
    /// The stream did.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// It is longer or shorter than announced.
    #[error("the body has another length than announced")]
    Length,
}

/// The receiving half of a request's stream.
pub(super) struct StreamBody {
    stream: RequestStream<Receiving, Bytes>,
    announced: Length,
    received: u64,
    ended: bool,
}

impl StreamBody {
    pub(super) fn new(stream: RequestStream<Receiving, Bytes>, announced: Length) -> Self {
        Self {
            stream,
            announced,
            received: 0,
            ended: false,
        }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let data = ready!(self.stream.poll_recv_data(context))
            .map(|data| data.map(|mut data| data.copy_to_bytes(data.remaining())));
        let data = match data {
            Ok(data) => data,
            Err(error) => {
                self.ended = true;
                return Poll::Ready(Some(Err(error.into())));
            }
        };
        self.received += data.as_ref().map_or(0, |data| data.len() as u64);
        let fits = match (self.announced, &data) {
            (Length::Unsaid, _) => true,
            (Length::Bytes(bytes), Some(_)) => self.received <= bytes,
            (Length::Bytes(bytes), None) => self.received == bytes,
        };
        if !fits {
            self.stream.stop_sending(Code::H3_MESSAGE_ERROR);
            self.ended = true;
            return Poll::Ready(Some(Err(BrokenOff::Length)));
        }
        self.ended = data.is_none();
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.announced {
            Length::Unsaid => SizeHint::default(),
            Length::Bytes(bytes) => SizeHint::with_exact(bytes.saturating_sub(self.received)),
        }
    }
}

impl Drop for StreamBody {
    /// What is not wanted does not have to be sent.
    fn drop(&mut self) {
        if !self.ended {
            self.stream.stop_sending(Code::H3_NO_ERROR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_plain_digits_and_said_once() {
        for (lines, expected) in [
            (&[][..], Some(Length::Unsaid)),
            (&["0"], Some(Length::Bytes(0))),
            (&["17"], Some(Length::Bytes(17))),
            (&["+1"], None),
            (&["1, 1"], None),
            (&[""], None),
            (&["1", "1"], None),
            (&["99999999999999999999"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONTENT_LENGTH, line.parse().unwrap());
            }
            assert_eq!(Length::of(&headers), expected, "{lines:?}");
        }
    }
}
