//! Paths to endpoints. Trailing slashes count for nothing, and every route is also served under
//! the configured prefix.

use http::Method;

/// The endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `POST /v1/events`
    Events,
    /// `GET /v1/pixel.gif`
    Pixel,
    /// `GET /v1/segments`
    Segments,
    /// `GET /tag.js`
    Tag,
    /// `GET /healthz`
    Health,
}

impl Route {
    /// Every endpoint.
    pub(super) const ALL: [Self; 5] = [
        Self::Events,
        Self::Pixel,
        Self::Segments,
        Self::Tag,
        Self::Health,
    ];

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Events => "/v1/events",
            Self::Pixel => "/v1/pixel.gif",
            Self::Segments => "/v1/segments",
            Self::Tag => "/tag.js",
            Self::Health => "/healthz",
        }
    }

    /// The endpoint of `path`, with or without `prefix` (empty, or `/like-this`).
    pub(super) fn of(path: &str, prefix: &str) -> Option<Self> {
        Self::exact(path).or_else(|| {
            let rest = path.strip_prefix(prefix).filter(|_| !prefix.is_empty())?;
            Self::exact(rest)
        })
    }

    fn exact(path: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        Self::ALL.into_iter().find(|route| route.path() == path)
    }

    /// What stands in `Allow` when the method is another.
    pub(super) const fn allow(self) -> &'static str {
        match self {
            Self::Events => "POST, OPTIONS",
            Self::Segments => "GET, OPTIONS",
            Self::Pixel | Self::Tag | Self::Health => "GET, HEAD, OPTIONS",
        }
    }

    /// Whether the endpoint takes this method. HEAD is GET without the body (RFC 9110, section
    /// 9.3.2), so one of the pixel is an event as well.
    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Events => method == Method::POST,
            Self::Segments => method == Method::GET,
            Self::Pixel | Self::Tag | Self::Health => {
                method == Method::GET || method == Method::HEAD
            }
        }
    }

    /// Whether a request here carries events, which then are counted.
    pub(super) const fn carries_events(self) -> bool {
        match self {
            Self::Events | Self::Pixel => true,
            Self::Segments | Self::Tag | Self::Health => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_ignore_trailing_slashes_and_the_prefix() {
        for (path, prefix, expected) in [
            ("/v1/events", "", Some(Route::Events)),
            ("/v1/events/", "", Some(Route::Events)),
            ("/v1/events//", "/t", Some(Route::Events)),
            ("/t/v1/events", "/t", Some(Route::Events)),
            ("/t/v1/pixel.gif/", "/t", Some(Route::Pixel)),
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
        ] {
            assert_eq!(Route::of(path, prefix), expected, "{path} under {prefix}");
        }
    }

    #[test]
    fn allow_names_exactly_the_methods_taken() {
        for route in Route::ALL {
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
