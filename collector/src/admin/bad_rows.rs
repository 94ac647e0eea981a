//! `/admin/v1/bad-rows`: the newest refused events, masked.

use super::control::Control;
use super::reply::{Reply, of};
use super::route::limit;

/// The newest, `?limit=` of them.
pub async fn list(control: &impl Control, query: &str) -> Reply {
    match limit(query) {
        Ok(limit) => of(control.bad_rows(limit).await),
        Err(refused) => *refused,
    }
}
