//! Texts with a form of their own: what a broker, a domain, a topic may look like.

use http::Uri;

pub(super) fn is_cookie_name(name: &str) -> bool {
    let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    (1..=64).contains(&name.len()) && name.bytes().all(token)
}

/// As Kafka allows them.
pub(super) fn is_topic(name: &str) -> bool {
    let legal = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}

pub(super) fn is_broker(broker: &str) -> bool {
    broker.trim().rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(|c: char| c.is_whitespace() || c == '/')
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

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

pub(super) fn is_path(path: &str) -> bool {
    !path.is_empty() && is_path_prefix(path)
}

pub(super) fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.len() <= 253 && domain.split('.').all(label)
}

pub(super) fn is_mail_address(address: &str) -> bool {
    let visible = |c: u8| c.is_ascii_graphic() && !b",;<>()?".contains(&c);
    address.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty() && address.bytes().all(visible) && is_domain(domain)
    })
}

/// An absolute http or https URL that carries no credentials.
pub(super) fn is_url(url: &str) -> bool {
    let authority = |url: &Uri| url.authority().is_some_and(|it| !it.as_str().contains('@'));
    url.parse::<Uri>()
        .is_ok_and(|url| matches!(url.scheme_str(), Some("https" | "http")) && authority(&url))
}

/// One that is encrypted.
pub(super) fn is_secure_url(url: &str) -> bool {
    is_url(url) && url.starts_with("https:")
}
