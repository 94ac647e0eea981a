//! `/admin/v1/destinations`: how each is doing, its dead letters, a test callback, an end of its pause, a
//! replay.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;

use super::control::Control;
use super::reply::{Reply, error, of};
use super::route::limit;

/// Ids of one replay, at most.
const IDS_MAX: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    ids: Vec<u64>,
}

/// All destinations.
pub async fn list(control: &impl Control) -> Reply {
    of(control.destinations().await)
}

/// Dead letters, `?limit=` of them.
pub async fn dead_letters(control: &impl Control, name: &str, query: &str) -> Reply {
    match limit(query) {
        Ok(limit) => of(control.dead_letters(name, limit).await),
        Err(refused) => *refused,
    }
}

/// Sends a test callback and answers how it went.
pub async fn test(control: &impl Control, name: &str) -> Reply {
    of(control.test_destination(name).await)
}

/// Lifts any pause, also a 410's.
pub async fn enable(control: &impl Control, name: &str) -> Reply {
    of(control.enable_destination(name).await)
}

/// Queues dead letters again: `{"ids":[1,2]}`, or all with an empty body.
pub async fn replay(control: &impl Control, name: &str, body: &Bytes) -> Reply {
    let ids = if body.is_empty() {
        None
    } else {
        match serde_json::from_slice::<Replay>(body) {
            Ok(replay) if replay.ids.len() <= IDS_MAX => Some(replay.ids),
            Ok(_) | Err(_) => {
                let message = "send {\"ids\":[1,2]} with at most 10000 ids, or no body for all";
                return error(StatusCode::BAD_REQUEST, "invalid", message);
            }
        }
    };
    of(control.replay(name, ids).await)
}
