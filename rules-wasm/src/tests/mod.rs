//! The crate's behaviour, end to end: expressions in, verdicts out.

mod support;
mod operators;
