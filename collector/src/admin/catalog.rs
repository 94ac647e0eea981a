//! `/admin/v1/catalog`: the catalog in force, and applying a file to it.

use bytes::Bytes;
use http::StatusCode;

use super::control::{CatalogView, Control, ControlError};
use super::reply::{Reply, error, json, not_applied, of};
use super::route::flag;
use crate::catalog::SourceKind;

/// What is in force; secrets are masked here, whatever the gateway gave. A server's write key is one:
/// who has it is believed about addresses. A web key stands in every page.
pub async fn show(control: &impl Control) -> Reply {
    of(control.catalog().await.map(masked))
}

/// Applies the body; with `?dry_run=1` only says what it would change.
pub async fn apply(control: &impl Control, query: &str, body: &Bytes) -> Reply {
    let Ok(text) = std::str::from_utf8(body) else {
        return error(
            StatusCode::BAD_REQUEST,
            "invalid",
            "the body is not UTF-8; send the catalog file as it is",
        );
    };
    match control.apply(text.to_owned(), flag(query, "dry_run")).await {
        Ok(applied) => json(StatusCode::OK, &applied),
        Err(refused) => not_applied(&refused),
    }
}

/// Figures of the running gateway.
pub fn stats(control: &impl Control) -> Reply {
    let stats: Result<_, ControlError> = Ok(control.stats());
    of(stats)
}

fn masked(mut view: CatalogView) -> CatalogView {
    for source in &mut view.catalog.sources {
        match source.kind {
            SourceKind::Server => "***".clone_into(&mut source.write_key),
            SourceKind::Web => {}
        }
    }
    for destination in &mut view.catalog.destinations {
        destination.kind.mask();
    }
    view
}
