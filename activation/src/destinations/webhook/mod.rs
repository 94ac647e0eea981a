//! Standard Webhooks 1.0.0: what a membership change looks like to its receiver.

mod body;
mod target;

pub use body::{BODY_BYTES_MAX, webhook_id};
pub(crate) use target::Target;
