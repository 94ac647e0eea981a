//! Paths to endpoints. Slashes at the end and repeated slashes are ignored. Every route is also served
//! below the configured prefix, and some at a further path of their own.

use std::borrow::Cow;

use http::Method;

use crate::protocols::{self, Answer, Carrier, Endpoint};
use crate::settings;

/// The endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Events, in one of the protocols.
    Events(&'static Endpoint),
    /// `GET /v1/segments`
    Segments,
    /// `GET /tag.js`, `GET /tag.HASH.js`
    Tag,
    /// `GET /healthz`
    Health,
}

/// The paths of one edge.
#[derive(Debug)]
pub(super) struct Routes {
    prefix: String,
    further: Vec<(String, Route)>,
}

impl Routes {
    pub(super) fn new(settings: &settings::Edge) -> Self {
        let further = settings.paths.named().into_iter();
        Self {
            prefix: settings.path_prefix.clone(),
            further: further
                .filter_map(|(setting, path)| Some((path.clone()?, Route::set_by(setting)?)))
                .collect(),
        }
    }

    /// The endpoint of `path`, with or without the prefix (empty, or `/like-this`).
    pub(super) fn of(&self, path: &str) -> Option<Route> {
        let path = &*single_slashes(path);
        Route::exact(path)
            .or_else(|| {
                let prefix = self.prefix.as_str();
                let rest = path.strip_prefix(prefix).filter(|_| !prefix.is_empty())?;
                Route::exact(rest)
            })
            .or_else(|| {
                let path = path.trim_end_matches('/');
                let found = self.further.iter().find(|(further, _)| further == path);
                found
                    .or_else(|| self.tag_version(path))
                    .map(|(_, route)| *route)
            })
    }

    /// The further path of the tag, where `path` names a version of it.
    fn tag_version(&self, path: &str) -> Option<&(String, Route)> {
        let mut further = self.further.iter();
        further
            .find(|(further, route)| *route == Route::Tag && tag_version(path, further).is_some())
    }
}

/// `path` with one slash where several follow each other: a configured host that ends with a slash
/// and a path that begins with one, put together, have two.
pub(super) fn single_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut single = String::with_capacity(path.len());
    for part in path.chars() {
        if part != '/' || !single.ends_with('/') {
            single.push(part);
        }
    }
    Cow::Owned(single)
}

/// What to call instead of a path that does not exist.
pub(super) fn instead_of(path: &str) -> &'static str {
    // One path for each kind of call, as other collectors have them.
    const CALLS: [&str; 9] = [
        "batch", "track", "page", "screen", "identify", "group", "alias", "import", "event",
    ];
    let path = &*single_slashes(path);
    let call = path.trim_end_matches('/').rsplit('/').next().unwrap_or("");
    if CALLS.iter().any(|known| call.eq_ignore_ascii_case(known)) {
        "POST /v1/events takes one event or {\"batch\": [...]}"
    } else {
        "see the documentation for the paths that exist"
    }
}

/// The version that `path` names of the tag at `tag`: `HASH` of `/tag.HASH.js`, or of `/a/site.HASH`.
pub(super) fn tag_version<'p>(path: &'p str, tag: &str) -> Option<&'p str> {
    let name = tag.rfind('/').unwrap_or(0);
    let dot = tag[name..].rfind('.').map_or(tag.len(), |dot| name + dot);
    let (stem, extension) = tag.split_at(dot);
    let rest = path.strip_prefix(stem)?.strip_prefix('.')?;
    let version = rest.strip_suffix(extension)?;
    let is_hash = version.len() == 16 && version.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then_some(version)
}

impl Route {
    /// Every endpoint.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let events = protocols::endpoints().map(Self::Events);
        events.chain([Self::Segments, Self::Tag, Self::Health])
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Events(endpoint) => endpoint.path,
            Self::Segments => "/v1/segments",
            Self::Tag => "/tag.js",
            Self::Health => "/healthz",
        }
    }

    /// The endpoint with a further path by this key of `[edge.paths]`.
    fn set_by(setting: &str) -> Option<Self> {
        Self::all().find(|route| match route {
            Self::Events(endpoint) => endpoint.setting == Some(setting),
            Self::Segments => setting == "segments",
            Self::Tag => setting == "tag",
            Self::Health => false,
        })
    }

    fn exact(path: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        let is_tag = tag_version(path, Self::Tag.path()).is_some();
        let known = Self::all().find(|route| route.path() == path);
        known.or(is_tag.then_some(Self::Tag))
    }

    /// What stands in `Allow` when the method is another.
    pub(super) const fn allow(self) -> &'static str {
        match self {
            Self::Events(endpoint) => endpoint.carrier.allow(),
            Self::Segments => "GET, OPTIONS",
            Self::Tag | Self::Health => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether the endpoint takes this method.
    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Events(endpoint) => endpoint.carrier.takes(method),
            Self::Segments => method == Method::GET,
            Self::Tag | Self::Health => method == Method::GET || method == Method::HEAD,
        }
    }

    /// Whether limits hold for requests here. A probe costs nothing, and balancers act upon it: one
    /// refused for the sake of others would take a busy node out of use.
    pub(super) const fn is_limited(self) -> bool {
        !matches!(self, Self::Health)
    }

    /// Whether a request here carries events, which then are counted.
    pub(super) const fn carries_events(self) -> bool {
        matches!(self, Self::Events(_))
    }

    /// Whether a request here has a body that is read. What else a GET brings is not waited for.
    pub(super) fn reads_body(self) -> bool {
        matches!(self, Self::Events(endpoint) if endpoint.carrier == Carrier::Body)
    }

    /// Whether every answer here is an image.
    pub(super) fn answers_by_image(self) -> bool {
        matches!(self, Self::Events(endpoint) if endpoint.answer == Answer::Image)
    }
}

/// Every path with its methods, as the reference of the API lists them: without the tests' own.
#[cfg(test)]
pub(crate) fn documented() -> Vec<(&'static str, &'static str)> {
    let stub = protocols::stub::ENDPOINTS;
    let is_stub = |route: &Route| stub.iter().any(|own| *route == Route::Events(own));
    Route::all()
        .filter(|route| !is_stub(route))
        .map(|route| (route.path(), route.allow()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::{native, pixel};
    use crate::settings::Settings;

    const EVENTS: Route = Route::Events(&native::ENDPOINTS[0]);
    const PIXEL: Route = Route::Events(&pixel::ENDPOINTS[0]);

    fn routes(change: impl FnOnce(&mut settings::Edge)) -> Routes {
        let mut settings = Settings::default();
        change(&mut settings.edge);
        Routes::new(&settings.edge)
    }

    #[test]
    fn routes_ignore_needless_slashes_and_the_prefix() {
        for (path, prefix, expected) in [
            ("/v1/events", "", Some(EVENTS)),
            ("/v1/events/", "", Some(EVENTS)),
            ("/v1/events//", "/t", Some(EVENTS)),
            ("/t/v1/events", "/t", Some(EVENTS)),
            ("//v1/events", "", Some(EVENTS)),
            ("////v1//events//", "", Some(EVENTS)),
            ("//v1/events", "/t", Some(EVENTS)),
            ("/t//v1/events", "/t", Some(EVENTS)),
            ("//t///v1/events", "/t", Some(EVENTS)),
            ("//tag.0123456789abcdef.js", "", Some(Route::Tag)),
            ("//t//tag.js", "/t", Some(Route::Tag)),
            ("//", "", None),
            ("//nowhere", "", None),
            ("//evil.example/v1/events", "", None),
            ("/t/v1/pixel.gif/", "/t", Some(PIXEL)),
            ("/t/v1/events", "", None),
            ("/tv1/events", "/t", None),
            ("/v1", "", None),
            ("/", "", None),
            ("", "", None),
            ("*", "", None),
            ("/V1/events", "", None),
            ("/t/t/tag.js", "/t", None),
            ("/tag.js", "/tag", Some(Route::Tag)),
            ("/healthz", "", Some(Route::Health)),
            ("/v1/segments", "", Some(Route::Segments)),
            ("/tag.0123456789abcdef.js", "", Some(Route::Tag)),
            ("/t/tag.0123456789abcdef.js", "/t", Some(Route::Tag)),
            ("/x/tag.0123456789abcdef.js", "", None),
            ("/tag.0123.js", "", None),
        ] {
            let routes = routes(|edge| edge.path_prefix = prefix.to_owned());
            assert_eq!(routes.of(path), expected, "{path} under {prefix}");
        }
    }

    #[test]
    fn a_path_of_another_collector_is_told_ours() {
        for (path, is_call) in [
            ("/v1/track", true),
            ("/v1/batch/", true),
            ("//v1//identify", true),
            ("/t/v1/page", true),
            ("/v1/nowhere", false),
            ("/", false),
        ] {
            assert_eq!(
                instead_of(path).contains("POST /v1/events"),
                is_call,
                "{path}"
            );
        }
    }

    #[test]
    fn endpoints_have_further_paths_where_configured() {
        let routes = routes(|edge| {
            edge.path_prefix = "/t".to_owned();
            edge.paths.tag = Some("/assets/site.js".to_owned());
            edge.paths.events = Some("/assets/e".to_owned());
        });
        for (path, expected) in [
            ("/assets/site.js", Some(Route::Tag)),
            ("/assets/site.0123456789abcdef.js", Some(Route::Tag)),
            ("/assets/site.0123.js", None),
            ("/assets/tag.0123456789abcdef.js", None),
            ("/assets/e/", Some(EVENTS)),
            ("//assets/e", Some(EVENTS)),
            ("//assets//site.0123456789abcdef.js", Some(Route::Tag)),
            ("/v1/events", Some(EVENTS)),
            ("/t/assets/e", None),
            ("/assets/x", None),
        ] {
            assert_eq!(routes.of(path), expected, "{path}");
        }
    }

    #[test]
    fn the_settings_know_every_path_that_is_always_there() {
        let known: Vec<_> = settings::built_in_paths().collect();
        assert_eq!(known, Route::all().map(Route::path).collect::<Vec<_>>());
    }

    #[test]
    fn a_version_stands_before_the_ending_of_the_tag() {
        let hash = "0123456789abcdef";
        for (path, tag, named) in [
            ("/tag.0123456789abcdef.js", "/tag.js", true),
            ("/a/site.0123456789abcdef.js", "/a/site.js", true),
            ("/a/site.min.0123456789abcdef.js", "/a/site.min.js", true),
            ("/a.b/site.0123456789abcdef", "/a.b/site", true),
            ("/a/site.js", "/a/site.js", false),
            ("/a/site0123456789abcdef.js", "/a/site.js", false),
            ("/a/site.0123456789abcdeg.js", "/a/site.js", false),
        ] {
            let expected = named.then_some(hash);
            assert_eq!(tag_version(path, tag), expected, "{path} of {tag}");
        }
    }

    #[test]
    fn allow_names_exactly_the_methods_taken() {
        for route in Route::all() {
            for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT] {
                assert_eq!(
                    route.takes(&method),
                    route
                        .allow()
                        .split(", ")
                        .any(|word| word == method.as_str()),
                    "{route:?} {method}"
                );
            }
        }
    }
}
