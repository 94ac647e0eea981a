//! Reads of files in a time limit. A file on a disk that does not answer (a hung NFS mount, a FIFO)
//! holds its thread for ever: such a read is given up, and no further one begins until it is over,
//! so that hanging files cost one thread and not all of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

/// The reads of one kind; one round at a time.
#[derive(Debug)]
pub(super) struct Reading {
    one: Arc<Semaphore>,
    at: Arc<Mutex<String>>,
    limit: Duration,
}

/// Why a round of reads came to no end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Hangs {
    /// In this round.
    #[error(
        "{at} was not read within {limit_s} s: does its disk, or what is mounted there, answer?"
    )]
    TooSlow {
        /// What was being read.
        at: String,
        /// Seconds.
        limit_s: u64,
    },
    /// In an earlier one.
    #[error(
        "{at} is still being read since an earlier try, and nothing is read before that ends: put \
         a file there whose disk answers; if this stays, restart"
    )]
    StillReading {
        /// What is being read.
        at: String,
    },
}

/// One round. A thread that reads for it holds a clone.
#[derive(Clone, Debug)]
pub(super) struct Round {
    _one: Arc<OwnedSemaphorePermit>,
    at: Arc<Mutex<String>>,
}

impl Reading {
    pub(super) fn within(limit: Duration) -> Self {
        Self {
            one: Arc::new(Semaphore::new(1)),
            at: Arc::default(),
            limit,
        }
    }

    /// Runs one round of reads to its end, or gives it up.
    ///
    /// # Errors
    /// [`Hangs`]
    pub(super) async fn round<F: Future>(
        &self,
        reads: impl FnOnce(Round) -> F,
    ) -> Result<F::Output, Hangs> {
        let at = || self.at.lock().clone();
        let Ok(one) = Arc::clone(&self.one).try_acquire_owned() else {
            return Err(Hangs::StillReading { at: at() });
        };
        let round = Round {
            _one: Arc::new(one),
            at: Arc::clone(&self.at),
        };
        let reads = reads(round);
        let done = tokio::time::timeout(self.limit, reads).await;
        done.map_err(|_| Hangs::TooSlow {
            at: at(),
            limit_s: self.limit.as_secs(),
        })
    }
}

impl Round {
    /// Does `work`, which reads `what`, on a thread that may block. The round is not over before it is.
    ///
    /// # Errors
    /// Where it panicked.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        what: &Path,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        self.reads(what);
        let held = self.clone();
        let thread = tokio::task::spawn_blocking(move || {
            let _held = held;
            work()
        });
        thread.await
    }

    /// Notes what is read next.
    pub(super) fn reads(&self, what: &Path) {
        *self.at.lock() = what.display().to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_read_that_hangs_is_given_up_and_holds_one_thread() {
        let reading = Reading::within(Duration::from_millis(20));
        let (end, hangs) = std::sync::mpsc::channel::<()>();
        let gave_up = reading
            .round(async |round: Round| {
                let path = Path::new("/mnt/catalog.toml");
                round.blocking(path, move || hangs.recv().is_ok()).await
            })
            .await;
        let at = "/mnt/catalog.toml".to_owned();
        let too_slow = Hangs::TooSlow {
            at: at.clone(),
            limit_s: 0,
        };
        assert_eq!(gave_up.unwrap_err(), too_slow);
        let refused = reading.round(async |_| ()).await;
        assert_eq!(refused, Err(Hangs::StillReading { at }));
        drop(end);
        while reading.round(async |_| ()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
