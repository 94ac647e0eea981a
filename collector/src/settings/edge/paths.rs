//! `[edge.paths]`: further paths of endpoints, on the host of a site. One path has one endpoint.

use crate::document::{Reason, Section};
use crate::protocols;
use crate::settings::declare::When::Live;
use crate::settings::declare::{key, section};
use crate::settings::kind::{Kind, text};

/// The paths that are always there, also below `edge.path_prefix`.
pub(crate) fn built_in_paths() -> impl Iterator<Item = &'static str> {
    let events = protocols::endpoints().map(|endpoint| endpoint.path);
    events.chain(["/v1/segments", "/tag.js", "/healthz"])
}

section! {
    /// `[edge.paths]`
    #[derive(Eq)]
    pub struct Paths {
        /// A further path of `/tag.js`, on a site's own host. Its immutable version is
        /// `/assets/site.HASH.js`; HASH is its ETag. The tag at this path sends to
        /// `edge.paths.events`, or else to `/v1/events` below `path_prefix`, on the host it came
        /// from. All paths of this section differ from each other and from the built-in ones.
        tag: Option<String> = None
            => key("edge.paths.tag", Live, path().optional()).unset(r#""/assets/site.js""#),

        /// A further path of `/v1/events`. The tag at `edge.paths.tag` sends here; the tag at
        /// `/tag.js` sends to `v1/events` next to itself.
        events: Option<String> = None
            => key("edge.paths.events", Live, path().optional()).unset(r#""/assets/e""#),

        /// A further path of `/v1/pixel.gif`.
        pixel: Option<String> = None
            => key("edge.paths.pixel", Live, path().optional()).unset(r#""/assets/p.gif""#),

        /// A further path of `/v1/segments`.
        segments: Option<String> = None
            => key("edge.paths.segments", Live, path().optional()).unset(r#""/assets/s""#),
    }
}

fn path() -> Kind<String> {
    let form = "a path that begins and does not end with \"/\"";
    let is = |path: &str| !path.is_empty() && is_path_prefix(path);
    text(is, form, "\"/assets/site.js\"")
}

/// Empty or `/like-this`.
pub(super) fn is_path_prefix(prefix: &str) -> bool {
    let legal = |c: u8| c.is_ascii_alphanumeric() || b"-._~/".contains(&c);
    prefix.is_empty()
        || (prefix.starts_with('/')
            && !prefix.ends_with('/')
            && !prefix.contains("//")
            && prefix.len() <= 128
            && prefix.bytes().all(legal)
            && prefix.split('/').all(|part| part != "." && part != ".."))
}

impl Paths {
    /// Each with its key.
    pub(crate) fn named(&self) -> [(&'static str, &Option<String>); 4] {
        [
            ("tag", &self.tag),
            ("events", &self.events),
            ("pixel", &self.pixel),
            ("segments", &self.segments),
        ]
    }

    /// Notes paths that lead elsewhere already.
    pub(super) fn check(&self, prefix: &str, section: &Section<'_>) {
        let given = self.named();
        for (index, (key, path)) in given.iter().enumerate() {
            let Some(path) = path else { continue };
            let below_prefix = path.strip_prefix(prefix);
            let built_in = built_in_paths()
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
            section.fault(key, Reason::PathTaken { given, other });
        }
    }
}
