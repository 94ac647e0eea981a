//! Paths of `[edge.paths]` that lead elsewhere already: one path has one endpoint. What is served
//! there is the edge's to say.

use super::Settings;
use crate::document::{Reason, Section};

/// The paths that are always there, also below `edge.path_prefix`.
pub const BUILT_IN_PATHS: [&str; 5] = [
    "/v1/events",
    "/v1/pixel.gif",
    "/v1/segments",
    "/tag.js",
    "/healthz",
];

/// Notes each of them.
pub(super) fn collisions(settings: &Settings, edge: &Section<'_>) {
    let prefix = &settings.edge.path_prefix;
    let paths = &settings.edge.paths;
    let given = [
        ("tag", &paths.tag),
        ("events", &paths.events),
        ("pixel", &paths.pixel),
        ("segments", &paths.segments),
    ];
    for (index, (key, path)) in given.iter().enumerate() {
        let Some(path) = path else { continue };
        let below_prefix = path.strip_prefix(prefix.as_str());
        let built_in = BUILT_IN_PATHS
            .into_iter()
            .find(|built_in| path == built_in || below_prefix == Some(built_in));
        let before = given[..index]
            .iter()
            .find(|(_, other)| other.as_ref() == Some(path));
        let other = match (built_in, before) {
            (Some(built_in), _) => format!("{built_in}, which is always there"),
            (None, Some((key, _))) => format!("edge.paths.{key}"),
            (None, None) => continue,
        };
        let given = path.clone();
        let section = edge.section("paths");
        section.fault(key, Reason::PathTaken { given, other });
    }
}
