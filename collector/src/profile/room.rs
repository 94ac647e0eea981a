//! How many profiles may be in memory: every one takes a place before it is inserted. Says when
//! the eviction has to hurry. Called by [`super::live`] and, for the surplus, by the checkpoint.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The smallest slack above `profiles.live_max`: what one second may bring to a small setting.
const SLACK_MIN: usize = 1_024;

/// The places for profiles in memory.
#[derive(Debug)]
pub struct Room {
    live_max: usize,
    taken: AtomicUsize,
    pressed: Notify,
}

impl Room {
    /// Room for `live_max` profiles and an eighth more (at least 1,024): the slack that new
    /// profiles use until the eviction has written old ones.
    #[must_use]
    pub fn new(live_max: usize) -> Self {
        Self {
            live_max,
            taken: AtomicUsize::new(0),
            pressed: Notify::new(),
        }
    }

    /// Takes a place; false where all are taken.
    #[must_use]
    pub fn take(&self) -> bool {
        let bound = self.bound();
        let took = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < bound).then_some(taken + 1)
            });
        if self.is_pressed() {
            self.pressed.notify_one();
        }
        took.is_ok()
    }

    /// Gives a place back.
    pub fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// Places taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// The most that can be taken.
    #[must_use]
    pub fn bound(&self) -> usize {
        self.live_max.saturating_add(self.slack())
    }

    /// Profiles above `profiles.live_max`: to be evicted.
    #[must_use]
    pub fn surplus(&self) -> usize {
        self.taken().saturating_sub(self.live_max)
    }

    /// True where half of the slack is used.
    #[must_use]
    pub fn is_pressed(&self) -> bool {
        self.surplus() > self.slack() / 2
    }

    /// Resolves when half of the slack is used: the eviction should run now.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }

    fn slack(&self) -> usize {
        (self.live_max / 8).max(SLACK_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slack_is_an_eighth_and_at_least_1024() {
        assert_eq!(Room::new(10).bound(), 1_034);
        assert_eq!(Room::new(80_000).bound(), 90_000);
    }

    #[test]
    fn no_place_is_given_twice() {
        let room = Room::new(0);
        assert!((0..SLACK_MIN).all(|_| room.take()));
        assert!(!room.take());
        assert_eq!((room.taken(), room.surplus()), (SLACK_MIN, SLACK_MIN));
        room.give_back();
        assert!(room.take());
    }
}
