//! `/debug/outcomes`: why a hit was dropped.

use http::StatusCode;

use super::control::Control;
use super::reply::{Reply, json};
use super::route::{count, value};

/// The newest, `?last=` of them; with `?message_id=` those of one message.
pub fn list(control: &impl Control, query: &str) -> Reply {
    let message_id = value(query, "message_id");
    let outcomes = control.outcomes(count(query, "last"), message_id.as_deref());
    json(StatusCode::OK, &outcomes)
}
