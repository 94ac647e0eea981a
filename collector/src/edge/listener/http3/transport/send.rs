//! The sending half of a stream. What is not acknowledged is bounded by quinn's send window.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::quic::{SendStream, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::VarInt;

use super::errors;

/// One stream.
pub(in crate::edge::listener::http3) struct Sending {
    stream: quinn::SendStream,
    writing: Option<WriteBuf<Bytes>>,
}

/// h3 sent while it had not sent the piece before.
#[derive(Debug, thiserror::Error)]
#[error("a piece was sent before the one before it was written")]
struct StillWriting;

impl Sending {
    pub(super) fn new(stream: quinn::SendStream) -> Self {
        Self {
            stream,
            writing: None,
        }
    }
}

impl SendStream<Bytes> for Sending {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(writing) = &mut self.writing {
            while writing.has_remaining() {
                let written = Pin::new(&mut self.stream).poll_write(context, writing.chunk());
                writing.advance(ready!(written).map_err(errors::of_writing)?);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::Unknown(Box::new(StillWriting)));
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        let finished = self.stream.finish();
        Poll::Ready(finished.map_err(|closed| StreamErrorIncoming::Unknown(Box::new(closed))))
    }

    fn reset(&mut self, reset_code: u64) {
        let code = VarInt::from_u64(reset_code).unwrap_or(VarInt::MAX);
        // It has ended already.
        let _ = self.stream.reset(code);
    }

    fn send_id(&self) -> StreamId {
        super::id(self.stream.id())
    }
}
