//! `[liveness]`: after what time something that does not move is reported.

use super::declare::When::Restart;
use super::declare::{key, section};
use super::kind::{HOUR, SECOND, duration};

section! {
    /// `[liveness]`
    pub struct Liveness {
        /// A cursor that has records to read and has not moved for this time is reported as
        /// stalled: in the log, in `tidegate_cursor_stalled_seconds`, in `/readyz?verbose`.
        cursor_stalled_ms: u64 = 30 * SECOND
            => key("liveness.cursor_stalled", Restart, duration(SECOND..=HOUR)),

        /// How long a record may wait to become durable. Beyond it `/readyz`, and `/healthz` on the
        /// edge's port, answer 503 until the disk answers.
        durable_lag_max_ms: u64 = 10 * SECOND
            => key("liveness.durable_lag_max", Restart, duration(SECOND..=HOUR)),
    }
}
