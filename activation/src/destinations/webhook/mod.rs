//! Standard Webhooks 1.0.0: what a membership change looks like to its receiver.

mod body;
mod answers;
mod sign;
mod target;

pub(super) use answers::judge;
pub use body::{BODY_BYTES_MAX, webhook_id};
pub use sign::{SecretError, SigningKey};
pub(crate) use target::Target;
