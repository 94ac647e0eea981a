//! Steps 5 to 7 and the state behind them: one hit becomes a session, a decision and a durable
//! record. Parsing, consent and enrichment happened before; replies and sinks come after.

pub mod accept;

pub use accept::{Accepted, Core, Lookup, Refused, VisitorSegments};
