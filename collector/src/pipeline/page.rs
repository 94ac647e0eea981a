//! The page a hit was sent from, put together from what the client says about it. Borrows from the
//! request wherever the text stands there unchanged.

use std::borrow::Cow;
use std::ops::Range;

use tidegate_event::{EventType, Hit, Json, Page};

/// `context.page`, else a page call's `properties`, member by member; the URL at last from the
/// request's `Referer`, and path and query from the URL.
pub(super) fn page<'a>(hit: &Hit<'a>, referer: Option<&'a str>) -> Page<'a> {
    let context = hit
        .context
        .value
        .get("page")
        .filter(|page| page.is_object());
    let properties = (hit.kind == EventType::Page).then_some(&hit.properties.value);
    let member = |name: &str| {
        [context, properties]
            .into_iter()
            .flatten()
            .find_map(|object| text(object.get(name)?))
    };
    let url = member("url").or_else(|| referer.map(Cow::Borrowed));
    let referrer = member("referrer");
    Page {
        path: member("path").or_else(|| part(url.as_ref()?, path_of)),
        search: member("search").or_else(|| part(url.as_ref()?, query_of)),
        title: member("title"),
        referrer_host: referrer.as_ref().and_then(host),
        url,
        referrer,
    }
}

/// The text of a non-empty string.
pub(super) fn text<'a>(value: &Json<'a>) -> Option<Cow<'a, str>> {
    match value {
        Json::Str(text) if !text.is_empty() => Some(text.clone()),
        Json::Str(_)
        | Json::Null
        | Json::Bool(_)
        | Json::Int(_)
        | Json::Float(_)
        | Json::Array(_)
        | Json::Object(_) => None,
    }
}

fn part<'a>(url: &Cow<'a, str>, range: fn(&str) -> Option<Range<usize>>) -> Option<Cow<'a, str>> {
    let range = range(url)?;
    Some(match url {
        Cow::Borrowed(url) => Cow::Borrowed(&url[range]),
        Cow::Owned(url) => Cow::Owned(url[range].to_owned()),
    })
}

/// Everything before the query and the fragment.
fn end_of_path(url: &str) -> usize {
    url.find(['?', '#']).unwrap_or(url.len())
}

fn authority(url: &str) -> Option<Range<usize>> {
    let start = url.find("://")? + 3;
    let rest = &url[start..];
    Some(start..start + rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

fn path_of(url: &str) -> Option<Range<usize>> {
    let start = authority(url)?.end;
    let end = end_of_path(url);
    (start < end).then_some(start..end)
}

/// With its `?`.
fn query_of(url: &str) -> Option<Range<usize>> {
    let start = url.find('?')?;
    let end = url.find('#').unwrap_or(url.len());
    (start + 1 < end).then_some(start..end)
}

/// Lower case, without user, port and `www.`.
fn host<'a>(url: &Cow<'a, str>) -> Option<Cow<'a, str>> {
    let host = part(url, |url| {
        let Range { start, end } = authority(url)?;
        let start = url[start..end]
            .rfind('@')
            .map_or(start, |at| start + at + 1);
        let end = match url[start..end].rfind(':') {
            // The colons of an IPv6 address stand inside brackets.
            Some(at) if !url[start + at..end].contains(']') => start + at,
            Some(_) | None => end,
        };
        let www = url.get(start..start + 4);
        let is_www = www.is_some_and(|www| www.eq_ignore_ascii_case("www."));
        let start = if is_www { (start + 4).min(end) } else { start };
        (start < end).then_some(start..end)
    })?;
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some(Cow::Owned(host.to_ascii_lowercase()))
    } else {
        Some(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (Option<&str>, Option<&str>, Option<String>) {
        let cow = Cow::Borrowed(url);
        (
            path_of(url).map(|range| &url[range]),
            query_of(url).map(|range| &url[range]),
            host(&cow).map(Cow::into_owned),
        )
    }

    #[test]
    fn a_url_falls_into_path_query_and_host() {
        let host = |text: &str| Some(text.to_owned());
        for (url, expected) in [
            (
                "https://www.Shop.example.com:8443/a/b?x=1#top",
                (Some("/a/b"), Some("?x=1"), host("shop.example.com")),
            ),
            (
                "https://u:p@x.example/",
                (Some("/"), None, host("x.example")),
            ),
            (
                "http://[2001:db8::1]/",
                (Some("/"), None, host("[2001:db8::1]")),
            ),
            ("http://[::1]:80", (None, None, host("[::1]"))),
            (
                "https://x.example?q#a?b",
                (None, Some("?q"), host("x.example")),
            ),
            (
                "https://x.example/#a?b",
                (Some("/"), None, host("x.example")),
            ),
            ("/relative?a", (None, Some("?a"), None)),
            ("android-app://com.x/y", (Some("/y"), None, host("com.x"))),
            ("https://www.", (None, None, None)),
            ("https://www.:80/", (Some("/"), None, None)),
            ("://", (None, None, None)),
            ("", (None, None, None)),
            (
                "https://é.example/ü?ö",
                (Some("/ü"), Some("?ö"), host("é.example")),
            ),
        ] {
            assert_eq!(parts(url), expected, "{url}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_may_stand_for_a_url(url in ".{0,40}", tail in "[/?#@:.w\\[\\]é]{0,12}") {
            parts(&url);
            parts(&format!("https://{tail}"));
            parts(&format!("{tail}://www.{url}"));
        }
    }
}
