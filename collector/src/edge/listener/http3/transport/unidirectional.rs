//! The client's unidirectional streams (RFC 9114, section 6.2). h3 gets the control stream only.
//!
//! QPACK's two streams are read to nowhere: our table holds nothing, and our answers refer to none
//! (RFC 9204, section 3.2.3). h3 would leave them unread, in the connection's window. Streams of other
//! types are refused. All of it is taken off the client's allowance.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h3::error::Code;
use h3::quic::ConnectionErrorIncoming;
use quinn::{ReadError, VarInt};

use super::errors;
use super::frames::FRAME_COST;
use super::guard::Guard;
use super::receive::{Receiving, poll_chunk};
use super::varint;
use super::violation::Violation;

const CONTROL: u64 = 0x0;
const QPACK_ENCODER: u64 = 0x2;
const QPACK_DECODER: u64 = 0x3;
/// Pieces read of one stream in one go, then others have a turn.
const PIECES_PER_TURN: usize = 64;

/// Those of one connection; quinn bounds how many are open.
#[derive(Default)]
pub(super) struct Unidirectional {
    untyped: Vec<Untyped>,
    qpack: Vec<quinn::RecvStream>,
    encoder_seen: bool,
    decoder_seen: bool,
}

impl Unidirectional {
    pub(super) fn add(&mut self, stream: quinn::RecvStream) {
        self.untyped.push(Untyped {
            stream,
            bytes: [0; varint::BYTES_MAX],
            length: 0,
        });
    }

    /// Reads what has come. Some once a control stream is there.
    ///
    /// # Errors
    /// Where the connection has ended, or has to.
    pub(super) fn poll(
        &mut self,
        guard: &Arc<Guard>,
        context: &mut Context<'_>,
    ) -> Result<Option<Receiving>, ConnectionErrorIncoming> {
        let mut index = 0;
        while let Some(untyped) = self.untyped.get_mut(index) {
            let kind = match untyped.poll_type(context) {
                Poll::Pending => {
                    index += 1;
                    continue;
                }
                Poll::Ready(Err(ReadError::ConnectionLost(error))) => {
                    return Err(errors::of_connection(error));
                }
                // It may end before its type (section 6.2).
                Poll::Ready(Ok(None) | Err(_)) => None,
                Poll::Ready(Ok(kind)) => kind,
            };
            let stream = self.untyped.swap_remove(index).stream;
            let kept = self.keep(kind, stream, guard);
            if let Some(control) = kept.map_err(|violation| guard.end(violation))? {
                return Ok(Some(control));
            }
        }
        self.drain(guard, context)
            .map_err(|violation| guard.end(violation))?;
        Ok(None)
    }

    fn keep(
        &mut self,
        kind: Option<u64>,
        mut stream: quinn::RecvStream,
        guard: &Arc<Guard>,
    ) -> Result<Option<Receiving>, Violation> {
        let seen = match kind {
            Some(CONTROL) => {
                let preface = Bytes::from_static(&[0]);
                let control = Receiving::control(stream, Arc::clone(guard), preface);
                return Ok(Some(control));
            }
            Some(QPACK_ENCODER) => &mut self.encoder_seen,
            Some(QPACK_DECODER) => &mut self.decoder_seen,
            _ => {
                let code = Code::H3_STREAM_CREATION_ERROR.value();
                // It has ended already.
                let _ = stream.stop(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
                return guard.allowance.spend(FRAME_COST).map(|()| None);
            }
        };
        if std::mem::replace(seen, true) {
            let stream = kind.unwrap_or_default();
            return Err(Violation::SecondStream { stream });
        }
        self.qpack.push(stream);
        Ok(None)
    }

    fn drain(&mut self, guard: &Guard, context: &mut Context<'_>) -> Result<(), Violation> {
        let mut index = 0;
        while let Some(stream) = self.qpack.get_mut(index) {
            match drained(stream, guard, context)? {
                Poll::Pending => index += 1,
                Poll::Ready(()) => drop(self.qpack.swap_remove(index)),
            }
        }
        Ok(())
    }
}

/// Ready once the stream has ended.
fn drained(
    stream: &mut quinn::RecvStream,
    guard: &Guard,
    context: &mut Context<'_>,
) -> Result<Poll<()>, Violation> {
    for _ in 0..PIECES_PER_TURN {
        match poll_chunk(stream, usize::MAX, context) {
            Poll::Ready(Ok(Some(piece))) => guard.allowance.spend(piece.len() as u64)?,
            // Where the connection has ended, its other streams say so.
            Poll::Ready(Ok(None) | Err(_)) => return Ok(Poll::Ready(())),
            Poll::Pending => return Ok(Poll::Pending),
        }
    }
    context.waker().wake_by_ref();
    Ok(Poll::Pending)
}

/// A stream whose type is not known yet.
struct Untyped {
    stream: quinn::RecvStream,
    bytes: [u8; varint::BYTES_MAX],
    length: usize,
}

impl Untyped {
    /// None where the stream ended first. Reads no byte more than the type.
    fn poll_type(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<u64>, ReadError>> {
        loop {
            let read = self.bytes.get(..self.length).unwrap_or(&[]);
            if let Some((kind, _)) = varint::first(read) {
                return Poll::Ready(Ok(Some(kind)));
            }
            let length = read.first().map_or(1, |first| varint::length(*first));
            let chunk = ready!(poll_chunk(&mut self.stream, length - self.length, context))?;
            let Some(chunk) = chunk else {
                return Poll::Ready(Ok(None));
            };
            let read = self.length..self.length + chunk.len();
            if let Some(free) = self.bytes.get_mut(read) {
                free.copy_from_slice(&chunk);
                self.length += chunk.len();
            }
        }
    }
}
