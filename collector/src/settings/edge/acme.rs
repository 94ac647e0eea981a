//! `[edge.tls.acme]`: a certificate from an authority that speaks ACME.

use std::path::PathBuf;

use crate::document::Reason;
use crate::settings::declare::When::Restart;
use crate::settings::declare::{key, section};
use crate::settings::form::{is_domain, is_url};
use crate::settings::kind::{At, Kind, boolean, list, path, text};

/// Names in one certificate: what Let's Encrypt takes.
const DOMAINS_MAX: usize = 100;
/// Mail addresses of one account: likewise.
const CONTACTS_MAX: usize = 10;
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

section! {
    /// `[edge.tls.acme]`
    #[derive(Eq)]
    pub struct Acme {
        /// Names to order a certificate for by ACME (RFC 8555), at most 100 and no wildcards. The
        /// authority checks each by TLS-ALPN-01 (RFC 8737): port 443 of the name must lead to
        /// `https`, with no other TLS endpoint in between. Needs `terms_agreed`. Until the first
        /// certificate arrives, `edge.tls.cert` or a self-signed pair is used.
        domains: Vec<String> = Vec::new()
            => key("edge.tls.acme.domains", Restart, domains()).unset(r#"["t.example.com"]"#),

        /// Mail addresses that the authority may write to, at most 10.
        contact: Vec<String> = Vec::new() => key("edge.tls.acme.contact", Restart, contacts()),

        /// URL of the authority's directory. Try
        /// `https://acme-staging-v02.api.letsencrypt.org/directory` first: its limits are high, and
        /// no browser trusts its certificates.
        directory: String = LETS_ENCRYPT.to_owned()
            => key("edge.tls.acme.directory", Restart, directory()),

        /// `true`: you agree to the authority's terms of service. Without it nothing is ordered.
        terms_agreed: bool = false
            => key("edge.tls.acme.terms_agreed", Restart, boolean()).unset("true"),

        /// Certificate that signs the directory's own certificate, PEM, for an authority of your
        /// own. Unset: the roots that browsers trust.
        root: Option<PathBuf> = None
            => key("edge.tls.acme.root", Restart, path().optional()).unset(r#""acme-root.pem""#),
    }
}

fn domains() -> Kind<Vec<String>> {
    let is = |name: &str| name.contains('.') && is_domain(name);
    let form = "a host name (TLS-ALPN-01 proves no wildcards)";
    Kind::new(
        move |at| {
            let mut names = texts(at, DOMAINS_MAX, is, (form, "\"t.example.com\""))?;
            names
                .iter_mut()
                .for_each(|name| name.make_ascii_lowercase());
            Some(names)
        },
        |names: &Vec<String>| list(names.iter()),
    )
}

fn contacts() -> Kind<Vec<String>> {
    let words = ("a mail address", "\"ops@example.com\"");
    Kind::new(
        move |at| texts(at, CONTACTS_MAX, is_mail_address, words),
        |addresses: &Vec<String>| list(addresses.iter()),
    )
}

/// The texts of a list that have `form`; the others, and any beyond `most`, are noted.
fn texts(
    at: &At<'_>,
    most: usize,
    is: fn(&str) -> bool,
    (form, example): (&'static str, &'static str),
) -> Option<Vec<String>> {
    let found = at.get()?;
    let list = found.list()?;
    if list.len() > most {
        found.fault(Reason::Range {
            given: format!("a list of {}", list.len()),
            least: "0 entries".to_owned(),
            most: format!("{most}"),
        });
    }
    let mut texts = Vec::new();
    for found in list {
        let Some(given) = found.text() else { continue };
        if is(&given) {
            texts.push(given);
        } else {
            found.fault(Reason::Form {
                given,
                form,
                example,
            });
        }
    }
    Some(texts)
}

fn is_mail_address(address: &str) -> bool {
    let visible = |c: u8| c.is_ascii_graphic() && !b",;<>()?".contains(&c);
    address.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty() && address.bytes().all(visible) && is_domain(domain)
    })
}

fn directory() -> Kind<String> {
    let is = |url: &str| is_url(url) && url.starts_with("https:");
    let form = "an https URL without credentials";
    text(
        is,
        form,
        "\"https://acme-v02.api.letsencrypt.org/directory\"",
    )
}
