//! Housekeeping that fails is retried each second. Its latest error is kept here: logged when it
//! begins and when it ends, and read by readiness.

use parking_lot::Mutex;

use crate::error::FileError;

/// One kind of housekeeping.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// What cannot be done, for the log.
    what: &'static str,
    error: Mutex<Option<FileError>>,
}

impl Trouble {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self {
            what,
            error: Mutex::new(None),
        }
    }

    /// Notes how a try ended.
    pub(crate) fn note(&self, ended: Result<(), FileError>) {
        let mut error = self.error.lock();
        match (ended, error.is_some()) {
            (Err(new), false) => {
                tracing::error!(error = %new, "{}; trying again each second", self.what);
                *error = Some(new);
            }
            (Err(new), true) => *error = Some(new),
            (Ok(()), true) => {
                tracing::info!(
                    "the journal's housekeeping works again: was \"{}\"",
                    self.what
                );
                *error = None;
            }
            (Ok(()), false) => {}
        }
    }

    /// What fails and why, while it does.
    pub(crate) fn say(&self) -> Option<String> {
        let error = self.error.lock();
        error
            .as_ref()
            .map(|error| format!("{}: {error}", self.what))
    }
}
