//! The page a hit was sent from, put together from what the client says about it. Borrows from the
//! request wherever the text stands there unchanged.

use std::borrow::Cow;
use std::ops::Range;

use tidegate_event::{EventType, Hit, Page};

/// `context.page`, else a page call's `properties`, member by member; the URL at last from the
/// request's `Referer`, and path and query from the URL.
pub(super) fn page<'a>(hit: &Hit<'a>, referer: Option<Cow<'a, str>>) -> Page<'a> {
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
            .find_map(|object| object.get(name)?.text().cloned())
    };
    let url = member("url").or(referer);
    let referrer = member("referrer");
    Page {
        path: member("path")
            .or_else(|| part(url.as_ref()?, path_of))
            .map(in_letters),
        search: member("search").or_else(|| part(url.as_ref()?, query_of)),
        title: member("title"),
        referrer_host: referrer.as_ref().and_then(host),
        url,
        referrer,
    }
}

/// The path as an address bar shows it: escapes of characters beyond ASCII are decoded, and no others,
/// so that `/`, `?` and `%` keep their meaning. Browsers escape all of them.
fn in_letters(path: Cow<'_, str>) -> Cow<'_, str> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = path[at..].find('%') {
        at += found;
        match escaped_character(&path[at..]) {
            Some((character, len)) => {
                out.push_str(&path[copied..at]);
                out.push(character);
                at += len;
                copied = at;
            }
            None => at += 1,
        }
    }
    if copied == 0 {
        return path;
    }
    out.push_str(&path[copied..]);
    Cow::Owned(out)
}

/// The character beyond ASCII whose escapes `text` begins with, and their length.
fn escaped_character(text: &str) -> Option<(char, usize)> {
    let mut bytes = [0; 4];
    let mut len = 0;
    while let Some(byte) = bytes.get_mut(len) {
        let escape = text.get(len * 3..len * 3 + 3)?.strip_prefix('%')?;
        let value = u8::from_str_radix(escape, 16).ok();
        *byte = value.filter(|value| *value >= 0x80)?;
        len += 1;
        if let Ok(text) = std::str::from_utf8(&bytes[..len]) {
            let character = text.chars().next()?;
            return is_shown(character).then_some((character, len * 3));
        }
    }
    None
}

/// Not blank, not invisible, not one that turns the direction of the text.
fn is_shown(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !matches!(
            character,
            '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
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

/// Lower case, without user, port and `www.`; letters beyond ASCII as a browser sends them (`xn--`).
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
    if !host.is_ascii() {
        // Browsers send `xn--`, other clients letters: one host is one value.
        let ascii = idna::domain_to_ascii(&host);
        return Some(Cow::Owned(ascii.unwrap_or_else(|_| host.to_lowercase())));
    }
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
                (Some("/ü"), Some("?ö"), host("xn--9ca.example")),
            ),
        ] {
            assert_eq!(parts(url), expected, "{url}");
        }
    }

    #[test]
    fn a_host_in_letters_is_the_host_in_punycode() {
        let of = |url: &'static str| host(&Cow::Borrowed(url)).map(Cow::into_owned);
        for url in [
            "https://bücher.example/a",
            "https://www.BÜCHER.example:8443/",
            // Composed of two characters.
            "https://bu\u{308}cher.example",
            "https://XN--BCHER-KVA.example/?q",
        ] {
            assert_eq!(of(url).as_deref(), Some("xn--bcher-kva.example"), "{url}");
        }
        assert_eq!(
            of("https://東京.example/").as_deref(),
            Some("xn--1lqs71d.example")
        );
        // What is no host name stays one value too.
        assert_eq!(
            of("https://a\u{200b}Ü\u{202e}/").as_deref(),
            of("https://a\u{200b}ü\u{202e}/").as_deref()
        );
    }

    #[test]
    fn a_path_is_read_in_letters() {
        for (path, expected) in [
            ("/%C3%BCber-uns", "/über-uns"),
            ("/%c3%bcber-uns", "/über-uns"),
            ("/über-uns", "/über-uns"),
            ("/%E6%9D%B1%E4%BA%AC/%F0%9F%98%80", "/東京/😀"),
            ("/%E0%A4%B9%E0%A4%BF%E0%A4%A8%E0%A5%8D", "/हिन्"),
            // What has a meaning in a URL, what is no UTF-8, and what cannot be seen stays.
            ("/a%2Fb%3Fc%25d%20e", "/a%2Fb%3Fc%25d%20e"),
            ("/%FC%ber", "/%FC%ber"),
            ("/%C3", "/%C3"),
            ("/%C3%", "/%C3%"),
            ("/%C3é%BC", "/%C3é%BC"),
            ("/%C2%A0%E2%80%AE", "/%C2%A0%E2%80%AE"),
            ("/%25C3%25BC", "/%25C3%25BC"),
            ("/%+3%C3%A9", "/%+3é"),
        ] {
            assert_eq!(in_letters(Cow::Borrowed(path)), expected, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_may_stand_for_a_path(path in "(%[0-9A-Fa-f]{2}|[%é/a+]){0,12}") {
            in_letters(Cow::Owned(path));
        }

        #[test]
        fn any_text_may_stand_for_a_url(url in ".{0,40}", tail in "[/?#@:.w\\[\\]é]{0,12}") {
            parts(&url);
            parts(&format!("https://{tail}"));
            parts(&format!("{tail}://www.{url}"));
        }
    }
}
