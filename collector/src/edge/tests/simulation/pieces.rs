//! A request body as a network brings it: in pieces, with pauses, broken off or never finished.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// What comes next.
pub(super) enum Piece {
    Data(Bytes),
    /// Milliseconds of silence.
    Pause(u64),
    /// The client is gone.
    Break,
}

/// All of it, in order.
pub(super) struct Pieces {
    left: VecDeque<Piece>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pieces {
    pub(super) fn new(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self {
            left: pieces.into_iter().collect(),
            pause: None,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                std::task::ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.left.pop_front() {
                None => return Poll::Ready(None),
                Some(Piece::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Piece::Pause(ms)) => {
                    self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(ms))));
                }
                Some(Piece::Break) => {
                    return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.pause.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.left.iter().map(|piece| match piece {
            Piece::Data(data) => data.len() as u64,
            Piece::Pause(_) | Piece::Break => 0,
        });
        let mut hint = SizeHint::new();
        hint.set_lower(data.sum());
        hint
    }
}
