//! How a long-lived thread or task shows that it is alive: it beats when it moves on, and says when
//! it waits on purpose. No clock is read here: the collector's watcher compares the numbers.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a part says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Has work in hand: it has to beat within its bound.
    Working,
    /// Waits for something to do, or for something outside of the process.
    Idle,
    /// Its thread or task is gone.
    Ended,
    /// Its thread or task panicked.
    Panicked,
}

const LIVES: [Life; 4] = [Life::Working, Life::Idle, Life::Ended, Life::Panicked];

#[derive(Debug)]
struct State {
    name: String,
    bound_ms: u64,
    beats: AtomicU64,
    life: AtomicU8,
}

/// The parts of one crate that have a pulse. Cheap to clone; clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Pulses(Arc<Mutex<Vec<Arc<State>>>>);

/// One part as seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Its name, as in metrics and logs.
    pub name: String,
    /// How long it may work without a beat, milliseconds.
    pub bound_ms: u64,
    /// How often it has beaten.
    pub beats: u64,
    /// What it says about itself.
    pub life: Life,
}

/// Held by the thread or task itself. Dropped in a panic it reports [`Life::Panicked`]. Dropped
/// otherwise it reports [`Life::Ended`], or leaves the list where its end is no failure.
#[derive(Debug)]
pub struct Pulse {
    list: Pulses,
    state: Arc<State>,
    may_end: bool,
}

impl Pulses {
    /// Adds a part that lives as long as the process. It may work for `bound_ms` milliseconds
    /// without a beat.
    #[must_use]
    pub fn register(&self, name: impl Into<String>, bound_ms: u64) -> Pulse {
        self.add(name.into(), bound_ms, false)
    }

    /// Adds a part that may end by itself: only a panic of it is a failure.
    #[must_use]
    pub fn register_temporary(&self, name: impl Into<String>, bound_ms: u64) -> Pulse {
        self.add(name.into(), bound_ms, true)
    }

    fn add(&self, name: String, bound_ms: u64, may_end: bool) -> Pulse {
        let state = Arc::new(State {
            name,
            bound_ms,
            beats: AtomicU64::new(0),
            life: AtomicU8::new(Life::Idle as u8),
        });
        self.list().push(Arc::clone(&state));
        Pulse {
            list: self.clone(),
            state,
            may_end,
        }
    }

    /// All parts as they are now, in the order of their start.
    #[must_use]
    pub fn beats(&self) -> Vec<Beat> {
        self.list().iter().map(|state| state.beat()).collect()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<State>>> {
        // Each change is one call: no panic leaves the list half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn beat(&self) -> Beat {
        let life = usize::from(self.life.load(Ordering::Acquire));
        Beat {
            name: self.name.clone(),
            bound_ms: self.bound_ms,
            beats: self.beats.load(Ordering::Relaxed),
            life: LIVES.get(life).copied().unwrap_or(Life::Ended),
        }
    }
}

impl Pulse {
    /// It moved on and goes on working.
    pub fn beat(&self) {
        self.say(Life::Working);
    }

    /// It waits on purpose; no bound applies until the next [`Pulse::beat`].
    pub fn idle(&self) {
        self.say(Life::Idle);
    }

    fn say(&self, life: Life) {
        self.state.beats.fetch_add(1, Ordering::Relaxed);
        self.state.life.store(life as u8, Ordering::Release);
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say(Life::Panicked);
        } else if self.may_end {
            let state = &self.state;
            self.list.list().retain(|one| !Arc::ptr_eq(one, state));
        } else {
            self.say(Life::Ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(pulses: &Pulses) -> Beat {
        let mut beats = pulses.beats();
        assert_eq!(beats.len(), 1);
        beats.remove(0)
    }

    #[test]
    fn a_part_says_what_it_does() {
        let pulses = Pulses::default();
        let pulse = pulses.register("timers", 5_000);
        let start = only(&pulses);
        assert_eq!(
            (start.name.as_str(), start.bound_ms, start.life),
            ("timers", 5_000, Life::Idle)
        );
        pulse.beat();
        let working = only(&pulses);
        assert_eq!(working.life, Life::Working);
        assert!(working.beats > start.beats);
        pulse.idle();
        assert_eq!(only(&pulses).life, Life::Idle);
    }

    #[test]
    fn an_end_and_a_panic_are_told_apart() {
        let pulses = Pulses::default();
        let pulse = pulses.register("ends", 1);
        std::thread::spawn(move || pulse.beat()).join().unwrap();
        let pulse = pulses.register("panics", 1);
        let thread = std::thread::spawn(move || {
            pulse.beat();
            panic!("as the test wants it");
        });
        assert!(thread.join().is_err());
        let lives: Vec<Life> = pulses.beats().iter().map(|beat| beat.life).collect();
        assert_eq!(lives, [Life::Ended, Life::Panicked]);
    }

    #[test]
    fn a_temporary_part_leaves_the_list_unless_it_panics() {
        let pulses = Pulses::default();
        let pulse = pulses.register_temporary("worker", 1);
        assert_eq!(only(&pulses).life, Life::Idle);
        drop(pulse);
        assert!(pulses.beats().is_empty());
        let pulse = pulses.register_temporary("worker", 1);
        let thread = std::thread::spawn(move || {
            pulse.beat();
            panic!("as the test wants it");
        });
        assert!(thread.join().is_err());
        assert_eq!(only(&pulses).life, Life::Panicked);
    }
}
