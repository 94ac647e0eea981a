//! What the last look found: for `/readyz?verbose`, `/healthz`, the service manager and metrics.

use serde::Serialize;

use super::cursor::StallView;
use super::part::{PartState, PartView};

/// All parts and cursors as last found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Long-lived threads and tasks.
    pub parts: Vec<PartView>,
    /// Cursors of the journal.
    pub cursors: Vec<StallView>,
    /// Age of the oldest record that is not durable, milliseconds.
    pub durable_lag_ms: u64,
    /// That is more than `liveness.durable_lag_max`.
    pub durable_lags: bool,
}

impl Report {
    /// False where a thread or task is stalled or gone: a restart may help.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.parts.iter().any(|part| part.state.is_bad())
    }

    /// What is wrong with threads and tasks, for people.
    #[must_use]
    pub fn stalls(&self) -> Vec<String> {
        let bad = self.parts.iter().filter(|part| part.state.is_bad());
        bad.map(|part| {
            let PartView { part, state, .. } = part;
            format!("{part} is {}", state.as_str())
        })
        .collect()
    }

    /// The first part whose thread or task is gone.
    #[must_use]
    pub fn lost(&self) -> Option<&PartView> {
        let gone = [PartState::Ended, PartState::Panicked];
        self.parts.iter().find(|part| gone.contains(&part.state))
    }
}
