//! Texts with a form that several sections ask for: domains and URLs.

use http::Uri;

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

/// An absolute http or https URL that carries no credentials.
pub(super) fn is_url(url: &str) -> bool {
    let authority = |url: &Uri| url.authority().is_some_and(|it| !it.as_str().contains('@'));
    url.parse::<Uri>()
        .is_ok_and(|url| matches!(url.scheme_str(), Some("https" | "http")) && authority(&url))
}
