//! `/debug/outcomes`: why a hit was dropped.

use http::StatusCode;

use super::control::Control;
use super::reply::{Reply, json};
use super::route::{count, value};

/// The newest, `?last=` of them; with `?message_id=` those of one message.
pub fn list(control: &impl Control, query: &str) -> Reply {
    let message_id = value(query, "message_id");
    match count(query, "last") {
        Ok(last) => json(
            StatusCode::OK,
            &control.outcomes(last, message_id.as_deref()),
        ),
        Err(refused) => *refused,
    }
}
