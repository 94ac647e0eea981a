//! Settings and catalog entries that are allowed and yet open to abuse: see
//! [`crate::settings::caution`] and [`crate::catalog::caution`].

use super::finding::Finding;
use crate::catalog::caution as catalog_caution;
use crate::catalog::file::{Context, read};
use crate::settings::Settings;
use crate::settings::caution::cautions;
use crate::settings::load::document;

const CHECK: &str = "settings";
const CATALOG: &str = "catalog";

/// One warning for each.
pub fn findings(settings: &Settings) -> Vec<Finding> {
    let cautions = cautions(settings).into_iter();
    cautions
        .map(|one| Finding::warn(CHECK, format!("{}: {}", one.key, one.danger), one.remedy))
        .collect()
}

/// The same of the catalog file that the settings name. Its mistakes are `tidegate check`'s to say.
pub fn of_catalog(settings: &Settings) -> Vec<Finding> {
    let file = settings.catalog.as_deref();
    let declared = file
        .and_then(|path| document(path).ok())
        .and_then(|document| read(&document, Context::default()).ok());
    let Some(declared) = declared else {
        return Vec::new();
    };
    let sources = declared.sources.unwrap_or_default();
    let destinations = declared.destinations.unwrap_or_default();
    let found = catalog_caution::cautions(&sources, &destinations).into_iter();
    found
        .map(|one| Finding::warn(CATALOG, format!("{}: {}", one.key, one.danger), one.remedy))
        .collect()
}
