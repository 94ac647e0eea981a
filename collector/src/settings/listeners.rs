//! The keys of `[edge]` that say where and as what requests arrive: listeners, TLS, HTTP/3, the
//! proxies in front, paths. Its limits are [`super::file`]'s.

use std::path::{Path, PathBuf};

use http::HeaderName;

use super::file::{DAY, KIB, MIB, MINUTE, networks, optional_path};
use super::form::{is_domain, is_mail_address, is_path, is_path_prefix, is_secure_url};
use super::{Acme, CertificateFiles, Edge, ProxyProtocol, Tls};
use crate::document::{Reason, Section};

pub(super) fn read(section: &Section<'_>, edge: &mut Edge, base: &Path) {
    section.address("http", &mut edge.http);
    if let Some(found) = section.get("https") {
        edge.https = found.address();
    }
    tls(section.section("tls"), &mut edge.tls, base);
    section.boolean("http3", &mut edge.http3);
    let h3 = &mut edge.h3;
    section.number("h3_streams_max", &mut h3.streams_max, 1..=10_000);
    section.duration(
        "h3_idle_timeout",
        &mut h3.idle_timeout_ms,
        100..=10 * MINUTE,
    );
    section.size(
        "h3_receive_window",
        &mut h3.receive_window_bytes,
        64 * KIB..=64 * MIB,
    );
    section.number("h3_retry_handshakes", &mut h3.retry_handshakes, 0..=65_536);
    section.duration(
        "alt_svc_max_age",
        &mut edge.alt_svc_max_age_ms,
        0..=365 * DAY,
    );
    if let Some(found) = section.get("alt_svc_port") {
        edge.alt_svc_port = found.number(&(1..=65_535));
    }
    proxies(section, edge);
}

fn tls(section: Section<'_>, tls: &mut Tls, base: &Path) {
    let (mut cert, mut key) = (None, None);
    optional_path(&section, "cert", &mut cert, base);
    optional_path(&section, "key", &mut key, base);
    if cert.is_some() != key.is_some() {
        let (given, needs, remedy) = if cert.is_some() {
            ("cert", "edge.tls.key", "add key = \"key.pem\"")
        } else {
            ("key", "edge.tls.cert", "add cert = \"cert.pem\"")
        };
        section.fault(given, Reason::Needs { needs, remedy });
    }
    tls.pair = pair(cert, key);
    for table in section.sections("certificates").unwrap_or_default() {
        let (mut cert, mut key) = (None, None);
        let _ = table.require("cert", "cert = \"cert.pem\"");
        let _ = table.require("key", "key = \"key.pem\"");
        optional_path(&table, "cert", &mut cert, base);
        optional_path(&table, "key", &mut key, base);
        tls.certificates.extend(pair(cert, key));
        table.finish();
    }
    acme(section.section("acme"), &mut tls.acme, base);
    section.duration(
        "handshake_timeout",
        &mut tls.handshake_timeout_ms,
        100..=MINUTE,
    );
    section.duration(
        "reload_interval",
        &mut tls.reload_interval_ms,
        100..=60 * MINUTE,
    );
    section.finish();
}

/// Names in one certificate: what Let's Encrypt takes.
const ACME_DOMAINS_MAX: usize = 100;
/// Mail addresses of one account: likewise.
const ACME_CONTACTS_MAX: usize = 10;

fn acme(section: Section<'_>, acme: &mut Acme, base: &Path) {
    let domain = |name: &str| name.contains('.') && is_domain(name);
    acme.domains = texts(
        &section,
        "domains",
        ACME_DOMAINS_MAX,
        domain,
        (
            "a host name (TLS-ALPN-01 proves no wildcards)",
            "\"t.example.com\"",
        ),
    );
    acme.domains
        .iter_mut()
        .for_each(|name| name.make_ascii_lowercase());
    acme.contact = texts(
        &section,
        "contact",
        ACME_CONTACTS_MAX,
        is_mail_address,
        ("a mail address", "\"ops@example.com\""),
    );
    if let Some(found) = section.get("directory")
        && let Some(url) = found.text()
    {
        if is_secure_url(&url) {
            acme.directory = url;
        } else {
            found.fault(Reason::Form {
                given: url,
                form: "an https URL without credentials",
                example: "\"https://acme-v02.api.letsencrypt.org/directory\"",
            });
        }
    }
    section.boolean("terms_agreed", &mut acme.terms_agreed);
    optional_path(&section, "root", &mut acme.root, base);
    section.finish();
}

/// The texts of a list that have `form`; the others, and any beyond `most`, are noted.
fn texts(
    section: &Section<'_>,
    key: &'static str,
    most: usize,
    is: impl Fn(&str) -> bool,
    (form, example): (&'static str, &'static str),
) -> Vec<String> {
    let Some(found) = section.get(key) else {
        return Vec::new();
    };
    let list = found.list().unwrap_or_default();
    if list.len() > most {
        found.fault(Reason::Range {
            given: format!("a list of {}", list.len()),
            least: "0 entries".to_owned(),
            most: format!("{most}"),
        });
    }
    let mut texts = Vec::new();
    for found in list {
        let Some(text) = found.text() else { continue };
        if is(&text) {
            texts.push(text);
        } else {
            found.fault(Reason::Form {
                given: text,
                form,
                example,
            });
        }
    }
    texts
}

fn pair(cert: Option<PathBuf>, key: Option<PathBuf>) -> Option<CertificateFiles> {
    Some(CertificateFiles {
        cert: cert?,
        key: key?,
    })
}

fn proxies(section: &Section<'_>, edge: &mut Edge) {
    networks(section, "trusted_proxies", &mut edge.trusted_proxies);
    if let Some(list) = section.get("proxy_protocol").and_then(|found| found.list()) {
        let mut expected = ProxyProtocol::default();
        for listener in list {
            match listener.word(&[("http", false), ("https", true)]) {
                Some(true) => expected.https = true,
                Some(false) => expected.http = true,
                None => {}
            }
        }
        edge.proxy_protocol = expected;
    }
    if let Some(found) = section.get("client_ip_header")
        && let Some(name) = found.text()
    {
        match HeaderName::try_from(&name) {
            Ok(name) => edge.client_ip_header = name,
            Err(_) => found.fault(Reason::Form {
                given: name,
                form: "the name of a header",
                example: "\"x-forwarded-for\"",
            }),
        }
    }
}

pub(super) fn paths(section: &Section<'_>, edge: &mut Edge) {
    if let Some(found) = section.get("path_prefix")
        && let Some(prefix) = found.text()
    {
        if is_path_prefix(&prefix) {
            edge.path_prefix = prefix;
        } else {
            found.fault(Reason::Form {
                given: prefix,
                form: "empty or a path that begins and does not end with \"/\"",
                example: "\"/collect\"",
            });
        }
    }
    let paths = section.section("paths");
    for (key, into) in [
        ("tag", &mut edge.paths.tag),
        ("events", &mut edge.paths.events),
        ("pixel", &mut edge.paths.pixel),
        ("segments", &mut edge.paths.segments),
    ] {
        let Some(found) = paths.get(key) else {
            continue;
        };
        let Some(path) = found.text() else { continue };
        if is_path(&path) {
            *into = Some(path);
        } else {
            found.fault(Reason::Form {
                given: path,
                form: "a path that begins and does not end with \"/\"",
                example: "\"/assets/site.js\"",
            });
        }
    }
    paths.finish();
}
