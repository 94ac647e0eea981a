//! The protocols that clients speak, one folder each. Each turns what it is sent into the neutral
//! [`Envelope`](crate::pipeline::decode::Envelope), whose rules are the same for all.

pub mod native;
pub mod pixel;
