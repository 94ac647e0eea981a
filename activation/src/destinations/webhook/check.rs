//! Checks the values of a webhook's entry.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;

use super::declaration::{SECRET, URL};
use super::sign::SigningKey;
use super::target::Webhook;
use crate::destinations::target::Target;
use crate::destinations::{DestinationKind, KeyError};
use crate::settings::{Network, Secret};
use crate::transport::is_allowed;

const NO_URL: KeyError =
    of_url("is not an http or https URL; write one such as \"https://ads.example.com/hook\"");
const USER_INFO: KeyError = of_url(
    "is not a URL without user and password; write one such as \"https://ads.example.com/hook\"",
);
/// The URL's address is private and not allowed.
pub const PRIVATE_ADDRESS: KeyError = of_url(
    "needs its private address to be allowed; add it to activation.allow_private in tidegate.toml",
);
const SECRET_FORM: &str = "is not a Standard Webhooks secret: it is not whsec_ and the base64 of 24 \
                           to 64 bytes; write one made by: printf 'whsec_%s\\n' \"$(openssl rand \
                           -base64 32)\"";

const fn of_url(message: &'static str) -> KeyError {
    KeyError {
        key: URL,
        at: 0,
        message,
    }
}

const fn of_secret(at: usize) -> KeyError {
    KeyError {
        key: SECRET,
        at,
        message: SECRET_FORM,
    }
}

pub(super) fn check(
    kind: &DestinationKind,
    allow_private: Option<&[Network]>,
) -> Result<Arc<dyn Target>, Vec<KeyError>> {
    let mut errors = Vec::new();
    let uri = check_url(kind.text(URL), allow_private)
        .map_err(|error| errors.push(error))
        .ok();
    let keys = check_secrets(kind.secrets(SECRET), &mut errors);
    match uri {
        Some(uri) if errors.is_empty() => Ok(Arc::new(Webhook::new(uri, keys))),
        Some(_) | None => Err(errors),
    }
}

fn check_secrets(secrets: &[Secret], errors: &mut Vec<KeyError>) -> Vec<SigningKey> {
    if secrets.is_empty() {
        errors.push(of_secret(0));
    }
    let mut keys = Vec::with_capacity(secrets.len());
    for (at, secret) in secrets.iter().enumerate() {
        match SigningKey::parse(secret.expose()) {
            Ok(key) => keys.push(key),
            Err(_) => errors.push(of_secret(at)),
        }
    }
    keys
}

fn check_url(url: &str, allow_private: Option<&[Network]>) -> Result<Uri, KeyError> {
    let uri: Uri = url.parse().map_err(|_| NO_URL)?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let (true, Some(authority)) = (known, uri.authority()) else {
        return Err(NO_URL);
    };
    if authority.as_str().contains('@') {
        return Err(USER_INFO);
    }
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    if host.is_empty() {
        return Err(NO_URL);
    }
    // The addresses of a name are checked when they are connected.
    if let (Ok(address), Some(allowed)) = (host.parse::<IpAddr>(), allow_private)
        && !is_allowed(address, allowed)
    {
        return Err(PRIVATE_ADDRESS);
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::super::kind;
    use super::*;

    const SECRET_GIVEN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn errors(url: &str, secret: &str, allow_private: Option<&[Network]>) -> Vec<KeyError> {
        let checked = kind(url, secret).check(allow_private);
        checked.err().unwrap_or_default()
    }

    #[test]
    fn urls_that_cannot_work_are_refused_before_the_first_callback() {
        let of = |url| errors(url, SECRET_GIVEN, Some(&[]));
        assert_eq!(of("https://ads.example/hook?v=1"), []);
        for (url, error) in [
            ("", NO_URL),
            ("/hook", NO_URL),
            ("ftp://ads.example/", NO_URL),
            ("https://u:p@ads.example/", USER_INFO),
            ("http://127.0.0.1/", PRIVATE_ADDRESS),
            ("http://[::1]:80/", PRIVATE_ADDRESS),
            ("http://169.254.169.254/latest", PRIVATE_ADDRESS),
        ] {
            assert_eq!(of(url), [error], "{url}");
        }
    }

    #[test]
    fn an_allowed_private_address_is_accepted() {
        let allowed = ["127.0.0.1".parse().unwrap()];
        let url = "http://127.0.0.1:9/";
        assert_eq!(errors(url, SECRET_GIVEN, Some(&allowed)), []);
        assert_eq!(errors(url, SECRET_GIVEN, None), [], "it is not known");
    }

    #[test]
    fn all_errors_come_at_once_and_say_which_secret() {
        let mut bad = kind("nowhere", SECRET_GIVEN);
        let secrets = [SECRET_GIVEN, "short"].map(Secret::new);
        bad.set(SECRET, crate::destinations::Value::Secrets(secrets.into()));
        assert_eq!(bad.check(None).unwrap_err(), [NO_URL, of_secret(1)]);
    }
}
