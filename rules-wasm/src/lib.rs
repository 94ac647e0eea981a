//! Segments as expressions: a CEL subset is compiled to fused WASM modules, which wasmtime runs
//! over one event record with fuel and memory limits.
//!
//! Rules answer membership only. This crate keeps no profile, folds no aggregate, sets no timer
//! and reads no clock: the host does, from the [`Plan`]. Uploaded modules (tier 2) are not here
//! yet; they will stand beside [`Ruleset`] with the record layout of [`abi`].

pub mod limits;
pub mod error;
pub mod field;
pub mod plan;
pub mod abi;
pub mod expression;
pub mod engine;
pub mod ruleset;
pub mod record;
pub mod evaluate;

#[cfg(test)]
mod tests;

pub use engine::Engine;
pub use error::{ExpressionError, Mistake, RuleError, Trap};
pub use evaluate::{Evaluator, TrapCounts, Verdict};
pub use expression::{Compiled, SegmentSource, compile, compile_within};
pub use field::{
    CampaignField, DeviceField, Field, GeoField, PageField, Path, ProfileField, SessionField, Type,
};
pub use limits::Limits;
pub use plan::{Plan, SegmentPlan, Wake};
pub use record::RecordBuffer;
pub use ruleset::Ruleset;
