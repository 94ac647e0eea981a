//! HTTP/1.1 read more strictly than hyper reads it, where two readers of one connection could see
//! different messages: request smuggling (RFC 9112, section 11.2).
//!
//! [`framing`] follows the bytes as they are read. At the first message that a proxy in front may
//! have framed otherwise they end, within the line at fault, and hyper is given an ending that no
//! HTTP parser takes: it answers 400 at once and closes, whether or not more was to come. Everything
//! else passes unchanged and uncopied.

mod framing;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use framing::Framing;

use super::activity::Activity;

/// What hyper reads after the last byte that is beyond doubt: one that is legal nowhere in a head
/// nor in chunk framing, and the end of either, for which hyper waits before it looks.
const REFUSAL: &[u8] = b"\0\r\n\r\n";

/// A stream whose incoming bytes are checked.
#[derive(Debug)]
pub(super) struct Strict<S> {
    stream: S,
    framing: Framing,
    /// What is left to read once a message was refused; then the stream is at its end.
    refusal: &'static [u8],
    /// Learns of heads that begin, and of a refusal.
    activity: Arc<Activity>,
}

impl<S> Strict<S> {
    /// Without `http1` nothing is checked: HTTP/2 frames its messages beyond doubt.
    pub(super) fn new(stream: S, http1: bool, activity: Arc<Activity>) -> Self {
        let framing = if http1 {
            Framing::default()
        } else {
            Framing::unchecked()
        };
        Self {
            stream,
            framing,
            refusal: REFUSAL,
            activity,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let mut read = Poll::Ready(Ok(()));
        if !self.framing.is_refused() {
            read = Pin::new(&mut self.stream).poll_read(context, buffer);
            let passing = self.framing.follow(&buffer.filled()[before..]);
            buffer.set_filled(before + passing);
        }
        if self.framing.is_refused() {
            self.activity.refuse();
            let here = self.refusal.len().min(buffer.remaining());
            let (here, later) = self.refusal.split_at(here);
            buffer.put_slice(here);
            self.refusal = later;
        }
        if buffer.filled().len() > before {
            self.activity.read(self.framing.head_is_open());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
