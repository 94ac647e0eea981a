//! `/admin/v1/cursors`: who follows the journal and how far behind, and dropping one that is gone.

use super::control::Control;
use super::reply::{Reply, of};

/// All cursors.
pub async fn list(control: &impl Control) -> Reply {
    of(control.cursors().await)
}

/// Drops a cursor, so that it holds no segment any more.
pub async fn remove(control: &impl Control, name: &str) -> Reply {
    of(control.drop_cursor(name).await)
}
