//! `[drain]`: how the gateway stops.

use super::declare::When::Live;
use super::declare::{key, section};
use super::kind::{HOUR, MINUTE, SECOND, duration};

section! {
    /// `[drain]`
    pub struct Drain {
        /// How long after SIGTERM requests are still served while `/readyz`, and `/healthz` on the
        /// edge's port, answer 503. Balancers stop sending in that time. A second signal ends it.
        readiness_delay_ms: u64 = 0
            => key("drain.readiness_delay", Live, duration(0..=10 * MINUTE)),

        /// How long the rest of the stop may take. Requests in flight get two thirds of it, then
        /// they are cut off; callbacks in flight a sixth (5 s at most); journal, Kafka and
        /// checkpoint the rest. The next start continues with what is left.
        deadline_ms: u64 = 30 * SECOND => key("drain.deadline", Live, duration(SECOND..=HOUR)),

        /// How long requests in flight may take when a new process takes over; longer ones are cut
        /// off. New connections wait meanwhile.
        hand_over_ms: u64 = SECOND => key("drain.hand_over", Live, duration(0..=MINUTE)),
    }
}
