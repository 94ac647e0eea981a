//! What an answer means and when to try again. Pure: answers, times and random numbers go in.

mod judge;
mod retry_after;
mod rate_limit_reset;
mod schedule;

pub use judge::{Answer, FailureKind, Verdict, judge};
pub use rate_limit_reset::parse as parse_rate_limit_reset;
pub use retry_after::parse as parse_retry_after;
pub use schedule::{Step, backoff_ms, next_step};
