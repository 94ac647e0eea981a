//! How a cursor's thread waits: for records past an offset, for a back-off, and always for the
//! end. Cursors run on threads of their own, because their sinks block (librdkafka, fsync).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tidegate_event::Pulse;
use tokio::runtime::Handle;
use tokio::sync::watch;

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
    pulse: Option<Arc<Pulse>>,
    stop: watch::Receiver<bool>,
}

impl Pace {
    /// A pace and the switch that ends it.
    #[must_use]
    pub fn new(runtime: Handle) -> (StopSender, Self) {
        let (sender, stop) = watch::channel(false);
        let pace = Self {
            runtime,
            pulse: None,
            stop,
        };
        (StopSender(sender), pace)
    }

    /// The thread works between two waits and is idle in them.
    #[must_use]
    pub fn beating(mut self, pulse: Pulse) -> Self {
        self.pulse = Some(Arc::new(pulse));
        self
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
        if let Some(pulse) = &self.pulse {
            pulse.idle();
        }
        let stop = &mut self.stop;
        self.runtime.block_on(async move {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                _ = event => {}
                () = tokio::time::sleep(Duration::from_millis(ms_max)) => {}
            }
        });
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_ends_a_pause_at_once_and_for_good() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
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
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_time()
            .build()
            .unwrap();
        let (stop, mut pace) = Pace::new(runtime.handle().clone());
        drop(stop);
        pace.pause(3_600_000);
        assert!(pace.stopped());
    }
}
