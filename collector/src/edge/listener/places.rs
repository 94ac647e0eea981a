//! Places for the connections of all listeners. Where all are taken and a client waits for one, those
//! that have rested longest without a request end for it: however many connections others hold open,
//! a client that asks for something is answered.

use std::future::Future;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hashbrown::HashMap;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::activity::Activity;

/// A connection rests at least so long before it ends for another one: the next request of its client
/// may be under way.
const SPARED: Duration = Duration::from_millis(250);
/// Where all places are taken, how often to look whether a client waits.
pub(super) const LOOK: Duration = Duration::from_millis(50);
/// Of so many connections one ends at a look, so that a place comes free for each of many clients.
const PER_LOOK: usize = 1_024;

/// All of them.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<Taken>,
    /// Counts those that ended for another one.
    ended: Counter,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    connections: HashMap<u64, (Arc<Occupant>, AbortHandle)>,
}

impl Places {
    pub(super) fn new(max: usize, ended: Counter) -> Arc<Self> {
        Arc::new(Self {
            free: Arc::new(Semaphore::new(max)),
            taken: Mutex::default(),
            ended,
        })
    }

    pub(super) fn all_taken(&self) -> bool {
        self.free.available_permits() == 0
    }

    /// A place, once there is one.
    pub(super) async fn take(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.free).acquire_owned().await
    }

    /// A place, where there is one now.
    pub(super) fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Serves a connection that has a place until it ends, or has to.
    pub(super) fn spawn<F>(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        connection: impl FnOnce(Arc<Occupant>) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let occupant = Arc::new(Occupant::new());
        let connection = connection(Arc::clone(&occupant));
        // Held until it is noted: a connection that ends at once is taken off after that.
        let mut taken = self.taken.lock();
        let number = taken.next;
        taken.next += 1;
        let place = Place {
            places: Arc::clone(self),
            number,
            _permit: permit,
        };
        let task = tokio::spawn(async move {
            connection.await;
            drop(place);
        });
        taken
            .connections
            .insert(number, (occupant, task.abort_handle()));
    }

    /// Ends some connections where a client waits at this listener.
    pub(super) fn make_room_at(&self, listener: impl AsFd) {
        if somebody_waits(listener) {
            self.make_room();
        }
    }

    /// Ends those that have rested longest.
    pub(super) fn make_room(&self) {
        let mut taken = self.taken.lock();
        let resting = taken
            .connections
            .iter()
            .filter_map(|(number, (occupant, _))| Some((occupant.rests_since()?, *number)));
        let mut resting: Vec<_> = resting
            .filter(|(since, _)| since.elapsed() >= SPARED)
            .collect();
        resting.sort_unstable();
        let count = taken.connections.len() / PER_LOOK + 1;
        for (_, number) in resting.into_iter().take(count) {
            if let Some((_, task)) = taken.connections.remove(&number) {
                task.abort();
                self.ended.inc();
            }
        }
    }
}

/// Whether a client stands in the listener's queue. It stays there.
fn somebody_waits(listener: impl AsFd) -> bool {
    let look = || -> nix::Result<usize> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO)
    };
    look().is_ok_and(|ready| ready > 0)
}

/// One connection's part.
#[derive(Debug)]
pub(super) struct Occupant {
    since: Instant,
    /// None until it speaks HTTP.
    activity: OnceLock<Arc<Activity>>,
}

impl Occupant {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            activity: OnceLock::new(),
        }
    }

    /// What it does, now that it speaks HTTP.
    pub(super) fn activity(&self) -> Arc<Activity> {
        Arc::clone(self.activity.get_or_init(Arc::default))
    }

    /// Since when it has no request in work; None where it has.
    fn rests_since(&self) -> Option<Instant> {
        match self.activity.get() {
            Some(activity) => activity.rests_since(),
            None => Some(self.since),
        }
    }
}

/// Given back when dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    number: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn the_longest_resting_connection_makes_room() {
        let places = Places::new(3, Counter::default());
        let mut held = Vec::new();
        for _ in 0..3 {
            let permit = places.try_take().unwrap();
            places.spawn(permit, |occupant| {
                held.push(occupant);
                pending()
            });
            advance(Duration::from_millis(1)).await;
        }
        assert!(places.all_taken() && places.try_take().is_none());
        let _busy = held[0].activity().request(u64::MAX);
        places.make_room();
        tokio::task::yield_now().await;
        assert!(places.all_taken(), "none has rested long enough");
        advance(SPARED).await;
        places.make_room();
        let _next = Arc::clone(&places).take().await.unwrap();
        assert_eq!(places.ended.get(), 1);
        let left = places.taken.lock();
        let mut left: Vec<_> = left.connections.keys().copied().collect();
        left.sort_unstable();
        assert_eq!(left, [0, 2], "the busy one and the later one stay");
    }

    #[tokio::test]
    async fn a_connection_that_ended_leaves_nothing() {
        let places = Places::new(1, Counter::default());
        places.spawn(places.try_take().unwrap(), |_| async {});
        let _next = Arc::clone(&places).take().await.unwrap();
        assert!(places.taken.lock().connections.is_empty());
    }

    #[test]
    fn who_waits_at_a_listener_is_seen_and_left_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!somebody_waits(&listener));
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(somebody_waits(&listener) && somebody_waits(&listener));
        listener.accept().unwrap();
        assert!(!somebody_waits(&listener));
    }
}
