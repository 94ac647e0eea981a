//! A file that is kept open for nothing but to be closed: where the process has no file left, that makes
//! room for one connection, and a probe is answered.

use std::fs::File;
use std::time::Duration;

use tokio::time::sleep;

/// Always there to open, and nothing comes of it.
const FILE: &str = "/dev/null";

/// How often to try to open it again.
const PAUSE: Duration = Duration::from_millis(200);

/// The file; None while there is room for none.
#[derive(Debug)]
pub(super) struct Spare(Option<File>);

impl Spare {
    pub(super) fn new() -> Self {
        Self(File::open(FILE).ok())
    }

    /// Closes it; false where it is closed already.
    pub(super) fn give_up(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Opens it again, once that can be. Never ends while it is open.
    pub(super) async fn renewed(&mut self) {
        while self.0.is_none() {
            sleep(PAUSE).await;
            *self = Self::new();
            if self.0.is_some() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }
}
