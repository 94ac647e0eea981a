//! Steps 1 to 4 of the flow as plain functions: bytes become a `Hit`, a `Consented` hit, an
//! `Identified` one and an `Enriched` one; then the record's JSON. Steps 5 to 7 are in `core`.
//!
//! No I/O, no clock, no async: whoever calls passes the time, the address and the geo databases.

mod members;
pub mod decode;
pub(crate) mod address;
mod page;
mod campaign;
pub mod enrich;
pub mod record_json;
#[cfg(test)]
mod tests;
