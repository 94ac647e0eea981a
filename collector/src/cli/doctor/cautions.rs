//! Settings that are allowed and yet open a door: see [`crate::settings::caution`].

use super::finding::Finding;
use crate::settings::Settings;
use crate::settings::caution::cautions;

const CHECK: &str = "settings";

/// One warning for each.
pub fn findings(settings: &Settings) -> Vec<Finding> {
    let cautions = cautions(settings).into_iter();
    cautions
        .map(|one| Finding::warn(CHECK, format!("{}: {}", one.key, one.danger), one.remedy))
        .collect()
}
