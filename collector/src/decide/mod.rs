//! Step 6: which segments a profile is in now, and when time alone may change that.
//!
//! Plain functions of the rules, a profile and a moment: reads profiles and sessions and changes
//! none. The core calls it under the profile's lock: [`Rules::evaluation`] first, then the event's
//! conditions where there is an event, then [`Evaluation::decide`].

pub mod module;
mod expressions;
pub mod segments;
pub mod rules;
pub mod evaluation;
pub mod traps;

pub use evaluation::{Decided, Evaluation};
pub use module::Moment;
pub use rules::{Rules, RulesError};
pub use segments::Segments;
pub use traps::Traps;
