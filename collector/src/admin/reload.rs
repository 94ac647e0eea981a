//! `/admin/v1/reload`: settings, catalog, GeoIP databases and certificates read again.

use http::StatusCode;

use super::control::Control;
use super::reply::{Reply, json, not_reloaded};

/// What changed, what waits for a restart; or every mistake, and nothing changed.
pub async fn reload(control: &impl Control) -> Reply {
    match control.reload().await {
        Ok(view) => json(StatusCode::OK, &view),
        Err(refused) => not_reloaded(&refused),
    }
}
