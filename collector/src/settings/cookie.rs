//! `[cookie]`: the first-party cookie that carries the visitor's id.

use super::declare::When::Live;
use super::declare::{key, section};
use super::form::is_domain;
use super::kind::{DAY, Kind, MINUTE, duration, text};
use crate::document::{Reason, Section};

section! {
    /// `[cookie]`
    pub struct Cookie {
        /// Name of the first-party cookie. On cleartext loopback the prefix `__Host-` is left off.
        name: String = "__Host-tg_vid".to_owned() => key("cookie.name", Live, cookie_name()),

        /// Domain of the cookie. Unset: only the host that set it receives it. Not allowed with a
        /// `__Host-` name.
        domain: Option<String> = None
            => key("cookie.domain", Live, cookie_domain().optional()).unset(r#""example.com""#),

        /// How long browsers keep the cookie; 400 days is their maximum.
        lifetime_ms: u64 = 400 * DAY => key("cookie.lifetime", Live, duration(MINUTE..=400 * DAY)),
    }
}

fn cookie_name() -> Kind<String> {
    let form = "a cookie name of 1 to 64 letters, digits, \"-\" or \"_\"";
    text(is_cookie_name, form, "\"__Host-tg_vid\"")
}

fn is_cookie_name(name: &str) -> bool {
    let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    (1..=64).contains(&name.len()) && name.bytes().all(token)
}

fn cookie_domain() -> Kind<String> {
    let is = |domain: &str| is_domain(domain.strip_prefix('.').unwrap_or(domain));
    text(is, "a domain", "\"example.com\"")
}

impl Cookie {
    /// Checks that browsers accept the domain together with the name.
    pub(super) fn check(&self, section: &Section<'_>) {
        if self.name.starts_with("__Host-") && self.domain.is_some() {
            section.fault(
                "domain",
                Reason::Excludes {
                    other: "a cookie.name that begins with __Host-",
                    remedy: "browsers refuse it: remove domain, or write name = \"tg_vid\"",
                },
            );
        }
    }
}
