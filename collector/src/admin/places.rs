//! Places for connections. Where all are taken, the connection that has waited longest for its client
//! ends for the next one: probes are answered however many clients ask and never read, or send bodies
//! that do not come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep_until, timeout};

/// A connection waits for its client at least so long before it ends for another one: an answer just
/// given has time to be sent.
const SPARED: Duration = Duration::from_millis(250);
/// How often to look for such a connection while there is none.
const LOOK: Duration = Duration::from_millis(50);

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    /// How long a connection may wait for its client, also to take what is written.
    patience: Duration,
    taken: Mutex<Vec<Arc<Place>>>,
    freed: Notify,
}

impl Places {
    pub(super) fn new(max: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            max,
            patience,
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// A place; where none is free, that of the connection that has waited longest for its client.
    pub(super) async fn take(self: &Arc<Self>) -> Held {
        loop {
            if let Some(held) = self.free() {
                return held;
            }
            self.end_one();
            let _ = timeout(LOOK, self.freed.notified()).await;
        }
    }

    fn free(self: &Arc<Self>) -> Option<Held> {
        let mut taken = self.taken.lock();
        if taken.len() >= self.max {
            return None;
        }
        let place = Arc::new(Place::new());
        taken.push(Arc::clone(&place));
        Some(Held {
            places: Arc::clone(self),
            place,
        })
    }

    /// Ends the connection that has waited longest, unless one is about to end.
    fn end_one(&self) {
        let taken = self.taken.lock();
        if taken.iter().any(|place| place.state.lock().ends) {
            return;
        }
        let waiting = taken
            .iter()
            .filter_map(|place| Some((place.waiting_since()?, place)));
        if let Some((since, place)) = waiting.min_by_key(|(since, _)| *since)
            && since.elapsed() >= SPARED
        {
            place.state.lock().ends = true;
            place.end.notify_one();
        }
    }
}

/// One connection's.
#[derive(Debug)]
pub(super) struct Place {
    state: Mutex<State>,
    end: Notify,
}

#[derive(Debug)]
struct State {
    in_work: usize,
    /// When the connection began, or a request ended last.
    since: tokio::time::Instant,
    /// Since when a request in work waits for its body.
    body_since: Option<tokio::time::Instant>,
    ends: bool,
}

impl Place {
    fn new() -> Self {
        let state = State {
            in_work: 0,
            since: tokio::time::Instant::now(),
            body_since: None,
            ends: false,
        };
        Self {
            state: Mutex::new(state),
            end: Notify::new(),
        }
    }

    /// A request is in work until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>) -> InWork {
        self.state.lock().in_work += 1;
        InWork(Arc::clone(self))
    }

    /// Notes whether the body of the request in work has still to come. Parts of it that come meanwhile do
    /// not count: they could go on for as long as `admin.timeout`.
    fn body_awaited(&self, awaited: bool) {
        let mut state = self.state.lock();
        state.body_since = match awaited {
            true => state
                .body_since
                .or_else(|| Some(tokio::time::Instant::now())),
            false => None,
        };
    }

    /// Since when the connection waits for its client, be it for a body; None while it is at work.
    fn waiting_since(&self) -> Option<tokio::time::Instant> {
        let state = self.state.lock();
        match state.in_work {
            0 => Some(state.since),
            _ => state.body_since,
        }
    }

    /// Since when it waits without a request: one in work ends by a time of its own.
    fn idle_since(&self) -> Option<tokio::time::Instant> {
        let state = self.state.lock();
        (state.in_work == 0).then_some(state.since)
    }
}

/// The body of a request in work.
#[derive(Debug)]
pub(super) struct Awaited<B> {
    body: B,
    place: Arc<Place>,
}

impl<B> Awaited<B> {
    pub(super) fn new(body: B, place: Arc<Place>) -> Self {
        Self { body, place }
    }
}

impl<B: Body + Unpin> Body for Awaited<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Pending => self.place.body_awaited(true),
            // More of it may be awaited next.
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(None | Some(Err(_))) => self.place.body_awaited(false),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Awaited<B> {
    fn drop(&mut self) {
        self.place.body_awaited(false);
    }
}

/// A request in work.
#[derive(Debug)]
pub(super) struct InWork(Arc<Place>);

impl Drop for InWork {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.in_work -= 1;
        state.since = tokio::time::Instant::now();
    }
}

/// A place until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    places: Arc<Places>,
    pub(super) place: Arc<Place>,
}

impl Held {
    /// Ends when the connection has to: it waited for its client too long, or its place is needed.
    pub(super) async fn over(&self) {
        let patience = self.places.patience;
        loop {
            let now = tokio::time::Instant::now();
            let end = self.place.idle_since().unwrap_or(now) + patience;
            if end <= now {
                return;
            }
            tokio::select! {
                () = self.place.end.notified() => return,
                () = sleep_until(end) => {}
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.retain(|place| !Arc::ptr_eq(place, &self.place));
        drop(taken);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn the_longest_waiting_connection_makes_room() {
        let places = Places::new(2, PATIENCE);
        let busy = places.take().await;
        let _in_work = busy.place.request();
        advance(SPARED).await;
        let waiting = places.take().await;
        let next = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take().await }
        });
        let began = tokio::time::Instant::now();
        waiting.over().await;
        assert!(began.elapsed() >= SPARED && began.elapsed() < SPARED + 2 * LOOK);
        assert!(!busy.place.state.lock().ends);
        drop(waiting);
        let _next = next.await.unwrap();
        assert_eq!(places.taken.lock().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_waited_for_until_patience_ends() {
        let places = Places::new(2, PATIENCE);
        let held = places.take().await;
        let (began, request) = (tokio::time::Instant::now(), held.place.request());
        assert!(timeout(3 * PATIENCE, held.over()).await.is_err(), "in work");
        drop(request);
        held.over().await;
        assert_eq!(began.elapsed().as_secs(), 4 * PATIENCE.as_secs());
    }
}
