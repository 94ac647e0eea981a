//! The receiving half of a stream as h3 reads it: frames that [`Frames`] lets through.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h3::quic::{RecvStream, StreamErrorIncoming, StreamId};
use quinn::{ReadError, VarInt};

use super::errors;
use super::frames::{Frames, Step, StreamKind};
use super::guard::Guard;
use super::violation::Violation;

/// Pieces left out in one go, then others have a turn.
const PIECES_PER_TURN: usize = 64;

/// What has come of a stream, at most `max` bytes of it; None at its end.
pub(super) fn poll_chunk(
    stream: &mut quinn::RecvStream,
    max: usize,
    context: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, ReadError>> {
    // It keeps nothing between two polls.
    let chunk = pin!(stream.read_chunk(max, true));
    chunk
        .poll(context)
        .map_ok(|chunk| chunk.map(|chunk| chunk.bytes))
}

/// One stream.
pub(in crate::edge::listener::http3) struct Receiving {
    stream: quinn::RecvStream,
    guard: Arc<Guard>,
    /// Passes before anything is read.
    preface: Option<Bytes>,
    /// Read from the stream and not looked at.
    input: Bytes,
    frames: Frames,
    /// What of `frames` the guard has counted.
    held: usize,
    data_frames: u64,
    /// h3 has the beginning of a DATA frame and must take it before it reads on.
    rests: bool,
}

impl Receiving {
    /// A request.
    pub(super) fn request(stream: quinn::RecvStream, guard: Arc<Guard>) -> Self {
        Self::new(StreamKind::Request, stream, guard, None)
    }

    /// The control stream, from `preface` on, which is its type.
    pub(super) fn control(stream: quinn::RecvStream, guard: Arc<Guard>, preface: Bytes) -> Self {
        Self::new(StreamKind::Control, stream, guard, Some(preface))
    }

    fn new(
        kind: StreamKind,
        stream: quinn::RecvStream,
        guard: Arc<Guard>,
        preface: Option<Bytes>,
    ) -> Self {
        Self {
            frames: Frames::new(kind, guard.header_bytes_max),
            stream,
            guard,
            preface,
            input: Bytes::new(),
            held: 0,
            data_frames: 0,
            rests: false,
        }
    }

    /// Looks at what was read. None where more has to be.
    fn look(&mut self) -> Result<Option<Step>, Violation> {
        let step = self.frames.read(&mut self.input);
        let held = self.frames.held();
        let before = std::mem::replace(&mut self.held, held);
        self.guard.allowance.hold(before, held)?;
        let step = step?;
        self.guard
            .allowance
            .spend(step.as_ref().map_or(0, |step| step.cost))?;
        Ok(step)
    }

    fn passes(&mut self, pass: Bytes, begins_data: bool) -> Bytes {
        self.data_frames += u64::from(begins_data);
        self.rests = begins_data && self.data_frames > 1;
        pass
    }
}

impl RecvStream for Receiving {
    type Buf = Bytes;

    /// h3 reads one piece ahead for each frame that it takes. Many small frames would make it gather
    /// all that comes, so it is told to wait once for each.
    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if let Some(preface) = self.preface.take() {
            return Poll::Ready(Ok(Some(preface)));
        }
        if !std::mem::take(&mut self.rests) {
            for _ in 0..PIECES_PER_TURN {
                match self.look() {
                    Ok(Some(Step {
                        pass: Some(pass),
                        begins_data,
                        ..
                    })) => return Poll::Ready(Ok(Some(self.passes(pass, begins_data)))),
                    Ok(Some(_left_out)) => {}
                    Ok(None) => match ready!(poll_chunk(&mut self.stream, usize::MAX, context)) {
                        Ok(Some(input)) => self.input = input,
                        Ok(None) => {
                            let end = self.frames.end().map(|()| None);
                            return Poll::Ready(end.map_err(|v| self.guard.close(v)));
                        }
                        Err(error) => return Poll::Ready(Err(errors::of_reading(error))),
                    },
                    Err(violation) => return Poll::Ready(Err(self.guard.close(violation))),
                }
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn stop_sending(&mut self, error_code: u64) {
        let code = VarInt::from_u64(error_code).unwrap_or(VarInt::MAX);
        // It has ended already.
        let _ = self.stream.stop(code);
    }

    fn recv_id(&self) -> StreamId {
        super::id(self.stream.id())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // Less than before is never too much.
        let _ = self.guard.allowance.hold(self.held, 0);
    }
}
