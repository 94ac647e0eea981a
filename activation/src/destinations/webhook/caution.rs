//! Webhooks that are allowed and yet open to abuse: callbacks that anyone on the way can read, and
//! secrets that everyone knows since they are printed in our own examples.

use std::net::IpAddr;

use http::Uri;

use super::declaration::{SECRET, URL};
use crate::destinations::{Caution, DestinationKind};

/// The secrets of README.md, docs and deploy.
const PUBLISHED_SECRETS: [&str; 1] = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"];

pub(super) fn cautions(kind: &DestinationKind) -> Vec<Caution> {
    let mut found = Vec::new();
    if is_readable_on_the_way(kind.text(URL)) {
        found.push(Caution {
            key: URL,
            danger: "http:// lets anyone on the way read which visitor is in which segment",
            remedy: "write https://",
        });
    }
    let secrets = kind.secrets(SECRET);
    if secrets
        .iter()
        .any(|one| PUBLISHED_SECRETS.contains(&one.expose()))
    {
        found.push(Caution {
            key: SECRET,
            danger: "it is the secret of a published example, so that anyone can sign a callback \
                     as this gateway",
            remedy: "make one with: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"",
        });
    }
    found
}

/// True of plain HTTP to another machine.
fn is_readable_on_the_way(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else {
        return false;
    };
    let host = url.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_name) => {
            let name = bare.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost" || name.ends_with(".localhost")
        }
    };
    url.scheme_str() == Some("http") && !is_loopback
}
