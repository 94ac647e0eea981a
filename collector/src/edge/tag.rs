//! The tag as it is served. As built in `sdk-js` it sends to `v1/events` next to itself, which fits
//! wherever `/tag.js` is served. At `edge.paths.tag` no such path is next to it: there the relative path
//! from its own folder to `edge.paths.events` is written into it. Each of the two has a version of its
//! own, so that caches may keep it for ever. `endpoint/tag.rs` answers.

use bytes::Bytes;
use http::HeaderValue;
use tidegate_event::id::fnv1a_64;

use super::route::{Route, tag_version};
use crate::settings;

/// The built tag; built by `sdk-js`, committed, so that a cargo build needs no node.
const BUILT: &str = include_str!("../../../sdk-js/dist/tag.js");
/// Where it sends to, seen from its own folder.
const BUILT_WAY: &str = "v1/events";

/// The scripts of one edge.
#[derive(Debug)]
pub(super) struct Tags {
    built: Script,
    /// At `edge.paths.tag`.
    own: Option<(String, Script)>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) text: Bytes,
    /// The hash of its text: `HASH` of its path that caches may keep for ever.
    pub(super) version: String,
    /// The same, quoted.
    pub(super) etag: HeaderValue,
}

impl Tags {
    pub(super) fn new(settings: &settings::Edge) -> Self {
        let paths = &settings.paths;
        let below_prefix = || format!("{}/{BUILT_WAY}", settings.path_prefix);
        let own = paths.tag.as_ref().map(|tag| {
            let events = paths.events.clone().unwrap_or_else(below_prefix);
            let text = BUILT.replacen(BUILT_WAY, &way(tag, &events), 1);
            (tag.clone(), Script::new(text.into()))
        });
        Self {
            built: Script::new(Bytes::from_static(BUILT.as_bytes())),
            own,
        }
    }

    /// The script at `path`, and the version that the path names.
    pub(super) fn at<'p>(&self, path: &'p str) -> (&Script, Option<&'p str>) {
        if let Some((own, script)) = &self.own {
            let version = tag_version(path, own);
            if version.is_some() || path.trim_end_matches('/') == own {
                return (script, version);
            }
        }
        let folder = path.rfind('/').unwrap_or(0);
        let version = tag_version(&path[folder..], Route::Tag.path());
        (&self.built, version)
    }
}

impl Script {
    fn new(text: Bytes) -> Self {
        let version = format!("{:016x}", fnv1a_64(&text));
        let etag = HeaderValue::from_str(&format!("\"{version}\""));
        Self {
            text,
            version,
            etag: etag.expect("hex digits in quotes are header text"),
        }
    }
}

/// From the folder of `tag` up to the root of its host and down to `events`. Also right where a proxy
/// has taken a prefix off both paths, and behind `data-host`, where there is no folder to leave.
fn way(tag: &str, events: &str) -> String {
    let folders = tag.matches('/').count().saturating_sub(1);
    let down = events.trim_start_matches('/');
    format!("{}{down}", "../".repeat(folders))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_tag_says_once_where_it_sends_to() {
        assert_eq!(BUILT.matches(BUILT_WAY).count(), 1);
        assert!(BUILT.contains(&format!("+\"{BUILT_WAY}\"")));
    }

    #[test]
    fn the_way_leads_from_the_folder_of_the_tag_to_the_events() {
        for (tag, events, expected) in [
            ("/tag.js", "/v1/events", BUILT_WAY),
            ("/site.js", "/t/v1/events", "t/v1/events"),
            ("/assets/site.js", "/assets/e", "../assets/e"),
            ("/a/b/site", "/e", "../../e"),
        ] {
            assert_eq!(way(tag, events), expected, "{tag} {events}");
        }
    }
}
