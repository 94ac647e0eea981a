//! The crate's behaviour, end to end: expressions in, verdicts out.

mod support;
mod operators;
mod unknown;
mod aggregates;
mod plans;
mod modules;
mod mistakes;
mod limits;
mod traps;
mod documentation;
mod reference;
mod generate;
mod equivalence;
mod layout;
mod robustness;
