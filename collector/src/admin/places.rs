//! Places for connections. Where all are taken, the connection that has waited longest for its client
//! ends for the next one: probes are answered however many clients ask and never read.

use std::sync::Arc;
use std::time::Duration;

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
    ends: bool,
}

impl Place {
    fn new() -> Self {
        let state = State {
            in_work: 0,
            since: tokio::time::Instant::now(),
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

    /// Since when the connection waits for its client; None while a request is in work.
    fn waiting_since(&self) -> Option<tokio::time::Instant> {
        let state = self.state.lock();
        (state.in_work == 0).then_some(state.since)
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
            let end = self.place.waiting_since().unwrap_or(now) + patience;
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
