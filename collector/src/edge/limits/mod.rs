//! What keeps one client, one source or too much load from taking the gateway away from the others:
//! rates, connections, awaited bodies and memory per address, and admission by delay. Decides; answers and
//! counts are the caller's.

mod metrics;
mod address;
mod rate;
mod charge;
mod new_profiles;
mod places;
mod bodies;
mod held;
mod admission;

pub(super) use address::AddressKey;
pub(super) use admission::Admission;
pub use admission::Progress;
pub(super) use admission::watch;
pub(super) use bodies::{AwaitedBodies, AwaitedMax};
pub(super) use charge::Charge;
pub(super) use held::{HeldMax, Holder, LARGE_MIN};
pub(super) use metrics::LimitMetrics;
pub(super) use new_profiles::NewProfiles;
pub(super) use places::{PerAddress, Place};
pub(super) use rate::{AddressRate, Budget, Limited, SourceRate};
