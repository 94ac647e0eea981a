//! A cursor's loop, in two halves. A [`Follow`] is a state machine: each step does a bounded piece
//! of work and says what to wait for. [`drive`] interprets that on a thread of its own, because
//! sinks block (librdkafka, fsync). The simulation interprets the same machines without threads.

use std::future::Future;
use std::time::Duration;

use tidegate_event::Pulse;
use tidegate_journal::Journal;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// Pause after a wait in which nothing came, in milliseconds: a journal that has ended answers at
/// once, for ever.
const ENDED_MS: u64 = 5;
/// How often an idle cursor looks by itself, in milliseconds.
const IDLE_MS: u64 = 500;
/// Longest wait for capacity in the sink without a step, in milliseconds.
const CAPACITY_MS: u64 = 5_000;

/// What a machine needs before its next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it has more to do.
    Again,
    /// A durable record at or past this offset. A step may come earlier.
    WaitPast(u64),
    /// Capacity in its sink. A step may come earlier.
    WaitCapacity,
    /// So many milliseconds.
    Pause(u64),
    /// It has ended.
    Done,
}

/// A cursor's loop as a state machine.
pub trait Follow {
    /// One bounded piece of work.
    fn step(&mut self) -> Next;

    /// Once there is something new it waits so many milliseconds for more.
    fn gather_ms(&self) -> u64 {
        0
    }

    /// Called once when the cursor should end. Its steps go on until [`Next::Done`], which comes
    /// after a bounded number of them.
    fn end(&mut self);
}

/// What a driven machine does now, for whoever watches that it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A step begins.
    Working,
    /// It waits on purpose.
    Waiting,
}

impl Doing {
    /// Shows it to the watcher.
    pub fn show(self, pulse: &Pulse) {
        match self {
            Self::Working => pulse.beat(),
            Self::Waiting => pulse.idle(),
        }
    }
}

/// Steps `machine` until it is done. `capacity` resolves when the sink has capacity again; `doing` is
/// called before each step and before each wait.
pub fn drive<R: Future>(
    mut machine: impl Follow,
    mut pace: Pace,
    journal: &Journal,
    capacity: impl Fn() -> R,
    mut doing: impl FnMut(Doing),
) {
    let mut ending = false;
    loop {
        if !ending && pace.stopped() {
            ending = true;
            machine.end();
        }
        doing(Doing::Working);
        let next = machine.step();
        if next != Next::Again {
            doing(Doing::Waiting);
        }
        match next {
            Next::Again => {}
            Next::WaitPast(offset) => {
                pace.until(journal.wait_past(offset), IDLE_MS);
                let came = journal.durable() > offset;
                pace.pause(if came { machine.gather_ms() } else { ENDED_MS });
            }
            Next::WaitCapacity => pace.until(capacity(), CAPACITY_MS),
            // Its pace is over, so it would not wait.
            Next::Pause(ms) if ending => std::thread::sleep(Duration::from_millis(ms)),
            Next::Pause(ms) => pace.pause(ms),
            Next::Done => return,
        }
    }
}

/// Tells cursors to end; dropping it tells them too.
#[derive(Debug)]
pub struct StopSender(watch::Sender<bool>);

impl StopSender {
    /// Ends every [`Pace`] made from the same pair.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// A thread's waiting, on the timers of the runtime that started it.
#[derive(Clone, Debug)]
pub struct Pace {
    runtime: Handle,
    stop: watch::Receiver<bool>,
}

impl Pace {
    /// A pace and the switch that ends it.
    #[must_use]
    pub fn new(runtime: Handle) -> (StopSender, Self) {
        let (sender, stop) = watch::channel(false);
        (StopSender(sender), Self { runtime, stop })
    }

    /// True once the cursor should end.
    #[must_use]
    pub fn stopped(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Waits `ms` milliseconds, less when told to stop.
    pub fn pause(&mut self, ms: u64) {
        self.until(std::future::pending::<()>(), ms);
    }

    /// Waits for `event`, at most `ms_max` milliseconds, less when told to stop.
    pub fn until(&mut self, event: impl Future, ms_max: u64) {
        let stop = &mut self.stop;
        self.runtime.block_on(async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                _ = event => {}
                () = tokio::time::sleep(Duration::from_millis(ms_max)) => {}
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_journal::storage::simulated::SimulatedStorage;
    use tokio::runtime::Runtime;

    use super::*;

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap()
    }

    /// Waits in every way, then drains in two steps once told to end.
    struct Waits {
        steps: Vec<Next>,
        ending: bool,
    }

    impl Follow for Waits {
        fn step(&mut self) -> Next {
            self.steps.pop().unwrap_or(Next::Done)
        }

        fn end(&mut self) {
            self.ending = true;
            self.steps = vec![Next::Done, Next::Pause(1), Next::Again];
        }
    }

    #[test]
    fn a_stop_ends_every_wait_and_lets_the_machine_finish() {
        use Doing::{Waiting, Working};
        let settings = tidegate_journal::Settings {
            segment_bytes: 4 << 20,
            ..tidegate_journal::Settings::default()
        };
        let storage = Arc::new(SimulatedStorage::new(1));
        let path = std::path::Path::new("/sim");
        let journal = Journal::open_stepped(path, storage, settings).unwrap();
        let runtime = runtime();
        for wait in [
            Next::WaitPast(0),
            Next::WaitCapacity,
            Next::Pause(3_600_000),
        ] {
            let machine = Waits {
                steps: vec![wait; 1_000],
                ending: false,
            };
            let (stop, pace) = Pace::new(runtime.handle().clone());
            let (waiting, waits) = std::sync::mpsc::channel();
            let driven = std::thread::scope(|scope| {
                let thread = scope.spawn(|| {
                    let mut seen = Vec::new();
                    drive(
                        machine,
                        pace,
                        &journal,
                        std::future::pending::<()>,
                        |doing| {
                            seen.push(doing);
                            let _stopped = waiting.send(doing);
                        },
                    );
                    seen
                });
                while waits.recv().unwrap() != Waiting {}
                stop.stop();
                thread.join().unwrap()
            });
            let end: Vec<_> = driven.iter().rev().take(5).rev().collect();
            assert_eq!(end, [&Working, &Working, &Waiting, &Working, &Waiting]);
        }
    }

    #[test]
    fn a_stop_ends_a_pause_at_once_and_for_good() {
        let runtime = runtime();
        let (stop, mut pace) = Pace::new(runtime.handle().clone());
        pace.pause(1);
        assert!(!pace.stopped());
        let waiter = std::thread::spawn(move || {
            pace.pause(3_600_000);
            pace.pause(3_600_000);
            pace.stopped()
        });
        stop.stop();
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn a_lost_switch_counts_as_a_stop() {
        let runtime = runtime();
        let (stop, mut pace) = Pace::new(runtime.handle().clone());
        drop(stop);
        pace.pause(3_600_000);
        assert!(pace.stopped());
    }
}
