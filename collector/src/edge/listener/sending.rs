//! Answers on their way. A client that does not take its answer must not make us keep it: over HTTP/2
//! its stream ends, over HTTP/1.1 its connection. hyper has no such limit, and lets go of an answer's
//! body before the client has it.

use std::cell::OnceCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use hyper::rt::Executor;
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, Sleep, sleep};

use crate::edge::limits::LARGE_MIN;

/// Bytes of one piece of a large answer.
const PIECE_BYTES: usize = 16 << 10;

/// An answer's body. A large one is handed on piece by piece: what an HTTP/2 client does not take, it
/// has not been handed to the library, which could not give it back.
#[derive(Debug)]
pub(super) enum Answer {
    Whole(Full<Bytes>),
    Pieces(Bytes),
}

impl Answer {
    /// Counts it as one of `untaken` until it is sent, where it is large.
    pub(super) async fn of(mut body: Full<Bytes>, untaken: &Arc<Untaken>) -> Self {
        if body
            .size_hint()
            .upper()
            .is_none_or(|bytes| bytes < LARGE_MIN as u64)
        {
            return Self::Whole(body);
        }
        let frame = body.frame().await.and_then(Result::ok);
        let bytes = frame.and_then(|frame| frame.into_data().ok());
        Self::Pieces(untaken.hold(bytes.unwrap_or_default()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let rest = match &mut *self {
            Self::Whole(body) => return Pin::new(body).poll_frame(context),
            Self::Pieces(rest) => rest,
        };
        if rest.is_empty() {
            return Poll::Ready(None);
        }
        // The last byte comes alone. hyper hands it on where the client has room for it, and lets go of
        // the answer then: not before the client has room for all of it.
        let piece = rest.split_to((rest.len() - 1).clamp(1, PIECE_BYTES));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Pieces(rest) => rest.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Pieces(rest) => SizeHint::with_exact(rest.len() as u64),
        }
    }
}

/// The large answers of one connection that are not sent.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    answers: Mutex<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    next: u64,
    /// By number: since when.
    since: Vec<(u64, Instant)>,
}

impl Untaken {
    /// The same bytes, one of these until whatever sends them drops them.
    fn hold(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        let mut answers = self.answers.lock();
        let number = answers.next;
        answers.next += 1;
        answers.since.push((number, Instant::now()));
        Bytes::from_owner(Held {
            bytes,
            number,
            untaken: Arc::clone(self),
        })
    }

    /// Since when the one is there that is there longest.
    pub(super) fn since(&self) -> Option<Instant> {
        let answers = self.answers.lock();
        answers.since.iter().map(|(_, since)| *since).min()
    }
}

struct Held {
    bytes: Bytes,
    number: u64,
    untaken: Arc<Untaken>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut answers = self.untaken.answers.lock();
        answers.since.retain(|(number, _)| *number != self.number);
    }
}

/// How long the client of a stream may take for its answer.
#[derive(Debug)]
pub(super) struct Within {
    pub(super) time: Duration,
    /// Counts answers that were not taken in that time.
    pub(super) cut: Counter,
}

tokio::task_local! {
    /// Set once the answer of this stream is made.
    static WITHIN: OnceCell<Within>;
}

/// The answer of this stream is made; it is given up where it is not sent in time. Does nothing over
/// HTTP/1.1, where nothing but the answer goes on.
pub(super) fn answered(within: impl FnOnce() -> Within) {
    let _none_over_http1 = WITHIN.try_with(|cell| cell.get_or_init(within).time);
}

/// Runs the streams of HTTP/2 connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(WITHIN.scope(OnceCell::new(), in_time(stream)));
    }
}

/// Runs a stream until it ends, or its answer has waited too long: dropped, hyper resets it.
async fn in_time(stream: impl Future<Output = ()>) {
    let mut stream = pin!(stream);
    let mut patience: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        if stream.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        WITHIN.with(|cell| {
            let Some(within) = cell.get() else {
                return Poll::Pending;
            };
            // Most answers are sent at once, and cost no timer.
            let patience = patience.get_or_insert_with(|| Box::pin(sleep(within.time)));
            let over = patience.as_mut().poll(context);
            over.map(|()| {
                within.cut.inc();
            })
        })
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_large_answer_comes_in_pieces_and_is_counted_until_it_is_dropped() {
        let untaken = Arc::<Untaken>::default();
        let bytes: Bytes = (0..100_000_u32).flat_map(u32::to_be_bytes).collect();
        let mut answer = Answer::of(Full::new(bytes.clone()), &untaken).await;
        assert_eq!(answer.size_hint().exact(), Some(bytes.len() as u64));
        let mut pieces = Vec::new();
        while let Some(frame) = answer.frame().await {
            pieces.push(frame.unwrap().into_data().unwrap());
        }
        assert!(answer.is_end_stream());
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES));
        assert_eq!(pieces.last().unwrap().len(), 1);
        assert_eq!(pieces.concat(), bytes);
        drop(answer);
        assert!(untaken.since().is_some());
        drop(pieces);
        assert!(untaken.since().is_none());
    }

    #[tokio::test]
    async fn a_small_answer_comes_whole() {
        let untaken = Arc::<Untaken>::default();
        let mut answer = Answer::of(Full::new(Bytes::from_static(b"{}")), &untaken).await;
        assert!(untaken.since().is_none());
        let frame = answer.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "{}");
        assert!(answer.is_end_stream());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_only_after_its_answer_had_its_time() {
        let cut = Counter::default();
        let (began, time) = (Instant::now(), Duration::from_secs(10));
        let stream = {
            let cut = cut.clone();
            async move {
                sleep(3 * time).await;
                answered(|| Within { time, cut });
                std::future::pending::<()>().await;
            }
        };
        WITHIN.scope(OnceCell::new(), in_time(stream)).await;
        assert_eq!(began.elapsed(), 4 * time);
        assert_eq!(cut.get(), 1);
    }
}
