//! Standard Webhooks 1.0.0: what a membership change looks like to its receiver.

mod declaration;
mod check;
mod caution;
mod sign;
mod body;
mod answers;
mod target;

pub use body::{BODY_BYTES_MAX, webhook_id};
pub use check::PRIVATE_ADDRESS;
pub use declaration::{DECLARATION, kind};
pub use sign::{SecretError, SigningKey};
