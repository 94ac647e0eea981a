//! `[drain]`: how the gateway stops.

use super::declare::When::Live;
use super::declare::{key, section};
use super::kind::{HOUR, MINUTE, SECOND, duration};

section! {
    /// `[drain]`
    pub struct Drain {
        /// How long after SIGTERM requests are still taken while `/readyz`, and `/healthz` on the
        /// edge's port, already say no, so that a balancer can look away. A second signal ends it.
        readiness_delay_ms: u64 = 0
            => key("drain.readiness_delay", Live, duration(0..=10 * MINUTE)),

        /// How long after that the gateway may take to finish. Requests in work get two thirds of
        /// it, longer ones are cut off; callbacks under way a sixth (5 s at most); journal, Kafka
        /// and checkpoint what is left. What is not done then goes on with the next start.
        deadline_ms: u64 = 30 * SECOND => key("drain.deadline", Live, duration(SECOND..=HOUR)),

        /// How long requests in work may take when a new process takes over; new connections wait
        /// meanwhile, longer ones are cut off.
        hand_over_ms: u64 = SECOND => key("drain.hand_over", Live, duration(0..=MINUTE)),
    }
}
