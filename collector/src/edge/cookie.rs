//! The first-party visitor cookie: how it is read and how it is set. Whether it may be is decided
//! by the pipeline, after consent.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_event::Profiling;

use super::request::{RawHit, text};
use crate::identity::is_cookie_id;
use crate::settings;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The cookie's name and attributes, prepared once.
#[derive(Debug)]
pub(super) struct CookieRule {
    name: String,
    /// The name without `__Host-` or `__Secure-`, which cleartext does not allow.
    bare_name: String,
    attributes: String,
}

/// How the page stands to us, which decides the attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Embedding {
    /// HTTPS (here or at the proxy in front), on the site's own pages.
    FirstParty,
    /// HTTPS, inside another site: the cookie is partitioned by that site.
    CrossSite,
    /// Cleartext on this machine, for the demo and for development. Cleartext from elsewhere is
    /// treated as HTTPS: browsers then refuse the cookie, and no id crosses a network in the clear.
    Loopback,
}

impl Embedding {
    pub(super) fn of(hit: &RawHit<'_>) -> Self {
        let local = hit.peer.is_loopback() && hit.host.as_deref().is_some_and(is_loopback_host);
        if local && !hit.secure {
            Self::Loopback
        } else if hit.header(FETCH_SITE) == Some("cross-site") {
            Self::CrossSite
        } else {
            Self::FirstParty
        }
    }
}

/// A TLS proxy on this machine also connects from loopback, but asks for a public host.
fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl CookieRule {
    pub(super) fn new(settings: &settings::Cookie) -> Self {
        let bare_name = ["__Host-", "__Secure-"]
            .iter()
            .find_map(|prefix| settings.name.strip_prefix(prefix))
            .unwrap_or(&settings.name);
        let mut attributes = format!(
            "; Path=/; Max-Age={}; HttpOnly",
            settings.lifetime_ms / 1000
        );
        if let Some(domain) = &settings.domain {
            attributes.push_str("; Domain=");
            attributes.push_str(domain);
        }
        Self {
            name: settings.name.clone(),
            bare_name: bare_name.to_owned(),
            attributes,
        }
    }

    /// The visitor id that the request brought, one that we could have minted; only where consent
    /// allows a profile. Split as bytes: other
    /// cookies of the site may be no text.
    pub(super) fn read<'a>(
        &self,
        headers: &'a HeaderMap,
        embedding: Embedding,
        _: Profiling,
    ) -> Option<&'a str> {
        let name = self.name_for(embedding);
        headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
            .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes()))
            .filter_map(|rest| std::str::from_utf8(rest.strip_prefix(b"=")?).ok())
            .find(|id| is_cookie_id(id))
    }

    /// `Set-Cookie` for this id; None where name or domain are no header text.
    pub(super) fn set(&self, id: &str, embedding: Embedding) -> Option<HeaderValue> {
        let site = match embedding {
            Embedding::FirstParty => "; Secure; SameSite=Lax",
            Embedding::CrossSite => "; Secure; SameSite=None; Partitioned",
            Embedding::Loopback => "; SameSite=Lax",
        };
        let name = self.name_for(embedding);
        HeaderValue::from_str(&format!("{name}={id}{}{site}", self.attributes)).ok()
    }

    fn name_for(&self, embedding: Embedding) -> &str {
        match embedding {
            Embedding::FirstParty | Embedding::CrossSite => &self.name,
            Embedding::Loopback => &self.bare_name,
        }
    }
}

/// Whether the browser says that the page and we are one origin.
pub(super) fn same_origin(headers: &HeaderMap) -> bool {
    text(headers, FETCH_SITE) == Some("same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::fake;
    use crate::fixture::profiling;
    use crate::settings::Settings;
    use http::header::HOST;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn rule() -> CookieRule {
        CookieRule::new(&Settings::default().cookie)
    }

    fn read(lines: &[&str], embedding: Embedding) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        rule()
            .read(&headers, embedding, profiling())
            .map(str::to_owned)
    }

    #[test]
    fn only_a_well_formed_id_under_the_exact_name_is_read() {
        let secure = Embedding::FirstParty;
        let good = format!("a=b; __Host-tg_vid={ID}; c=d");
        assert_eq!(read(&[&good], secure).as_deref(), Some(ID));
        assert_eq!(
            read(&["a=b", &format!("__Host-tg_vid={ID}")], secure).as_deref(),
            Some(ID)
        );
        for bad in [
            format!("tg_vid={ID}"),
            format!("__host-tg_vid={ID}"),
            format!("__Host-tg_vid={}", ID.to_uppercase()),
            format!("__Host-tg_vid={ID}0"),
            format!("__Host-tg_vid=\"{ID}\""),
            "__Host-tg_vid=".to_owned(),
            "__Host-tg_vid".to_owned(),
            format!("x__Host-tg_vid={ID}"),
        ] {
            assert_eq!(read(&[&bad], secure), None, "{bad}");
        }
    }

    #[test]
    fn neighbours_that_are_no_text_hide_nothing() {
        let mut headers = HeaderMap::new();
        let line = [
            b"city=M\xfcnchen; __Host-tg_vid=",
            ID.as_bytes(),
            b"; x=\xff",
        ]
        .concat();
        headers.append(COOKIE, HeaderValue::from_bytes(&line).unwrap());
        assert_eq!(
            rule().read(&headers, Embedding::FirstParty, profiling()),
            Some(ID)
        );
    }

    #[test]
    fn an_id_that_was_never_minted_is_none() {
        let bad = format!("__Host-tg_vid={}", "0".repeat(32));
        assert_eq!(read(&[&bad], Embedding::FirstParty), None);
        // A good one after it counts.
        let both = format!("{bad}; __Host-tg_vid={ID}");
        assert_eq!(read(&[&both], Embedding::FirstParty).as_deref(), Some(ID));
    }

    #[test]
    fn cleartext_loopback_uses_the_bare_name_without_secure() {
        let line = format!("tg_vid={ID}");
        assert_eq!(read(&[&line], Embedding::Loopback).as_deref(), Some(ID));
        assert_eq!(
            rule().set(ID, Embedding::Loopback).unwrap(),
            format!("tg_vid={ID}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax").as_str()
        );
    }

    #[test]
    fn over_https_it_is_secure_host_only_and_partitioned_in_other_sites() {
        assert_eq!(
            rule().set(ID, Embedding::FirstParty).unwrap(),
            format!("__Host-tg_vid={ID}; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax")
                .as_str()
        );
        let embedded = rule().set(ID, Embedding::CrossSite).unwrap();
        let embedded = embedded.to_str().unwrap();
        assert!(
            embedded.ends_with("; Secure; SameSite=None; Partitioned"),
            "{embedded}"
        );
    }

    #[test]
    fn a_domain_is_set_where_configured() {
        let rule = CookieRule::new(&settings::Cookie {
            name: "vid".to_owned(),
            domain: Some("example.com".to_owned()),
            lifetime_ms: 60_000,
        });
        assert_eq!(
            rule.set(ID, Embedding::FirstParty).unwrap(),
            format!(
                "vid={ID}; Path=/; Max-Age=60; HttpOnly; Domain=example.com; Secure; SameSite=Lax"
            )
            .as_str()
        );
    }

    #[test]
    fn loopback_needs_both_a_local_peer_and_a_local_host() {
        for (peer, host, site, expected) in [
            ("127.0.0.1", "localhost:8080", "", Embedding::Loopback),
            ("127.0.0.1", "127.0.0.1", "same-site", Embedding::Loopback),
            ("::1", "[::1]:8080", "", Embedding::Loopback),
            ("127.0.0.1", "shop.example", "", Embedding::FirstParty),
            (
                "127.0.0.1",
                "localhost.shop.example",
                "",
                Embedding::FirstParty,
            ),
            ("10.0.0.1", "localhost", "", Embedding::FirstParty),
            ("10.0.0.1", "c.example", "cross-site", Embedding::CrossSite),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            headers.insert(FETCH_SITE, site.parse().unwrap());
            let hit = RawHit {
                peer: peer.parse().unwrap(),
                ..fake::raw_hit(&headers)
            };
            assert_eq!(Embedding::of(&hit), expected, "{peer} {host} {site}");
            let secure = RawHit {
                secure: true,
                ..hit
            };
            assert_ne!(Embedding::of(&secure), Embedding::Loopback, "{peer} {host}");
        }
    }

    proptest! {
        #[test]
        fn any_cookie_header_yields_a_well_formed_id_or_none(line in "[ -~]{0,120}") {
            if let Some(id) = read(&[&line], Embedding::FirstParty) {
                prop_assert!(is_cookie_id(&id));
            }
        }

        #[test]
        fn every_id_that_is_set_is_read_back(bits in 1..u128::MAX, before in "([a-z]{1,5}=[a-z0-9]{0,5}; ){0,3}") {
            let id = format!("{bits:032x}");
            for embedding in [Embedding::FirstParty, Embedding::CrossSite, Embedding::Loopback] {
                let set = rule().set(&id, embedding).unwrap();
                let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
                let line = format!("{before}{pair}");
                prop_assert_eq!(read(&[&line], embedding), Some(id.clone()));
            }
        }
    }
}
