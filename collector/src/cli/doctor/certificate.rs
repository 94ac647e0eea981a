//! A TLS certificate as a file: whether it parses, fits its key and its host, and for how long.
//! Nobody is connected to.

use std::path::Path;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tidegate_event::Timestamp;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::finding::Finding;
use super::host::Target;
use crate::clock::Clock;

const CHECK: &str = "certificate";
const DAY_MS: i64 = 86_400_000;
/// From this many days on a renewal is overdue.
const SOON_DAYS: i64 = 14;

/// What a browser would look at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Valid from.
    pub from: Timestamp,
    /// Valid until.
    pub until: Timestamp,
    /// Its own issuer.
    pub self_signed: bool,
    /// The names and addresses it is for.
    pub names: Vec<String>,
}

/// Reads the files and judges the first certificate of the chain.
pub fn files(
    cert: &Path,
    key: Option<&Path>,
    host: Option<&Target>,
    clock: &impl Clock,
) -> Finding {
    match read(cert, key) {
        Ok(facts) => judge(&facts, host.map(|host| host.name.as_str()), clock.now()),
        Err(why) => Finding::fail(
            CHECK,
            why,
            "give the whole chain as PEM, the host's own certificate first, and its key",
        ),
    }
}

fn read(cert: &Path, key: Option<&Path>) -> Result<Facts, String> {
    let wrong = |path: &Path, why: String| format!("{}: {why}", path.display());
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(cert, error.to_string()))?;
    let first = chain
        .first()
        .ok_or_else(|| wrong(cert, "holds no certificate".to_owned()))?;
    let parsed = Certificate::from_der(first).map_err(|error| wrong(cert, error.to_string()))?;
    if let Some(path) = key {
        let key = PrivateKeyDer::from_pem_file(path);
        let key = key.map_err(|error| wrong(path, error.to_string()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| wrong(path, error.to_string()))?;
    }
    let own = &parsed.tbs_certificate;
    let time = |time: &x509_cert::time::Time| {
        let ms = time.to_unix_duration().as_millis();
        Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
    };
    Ok(Facts {
        from: time(&own.validity.not_before),
        until: time(&own.validity.not_after),
        self_signed: own.issuer == own.subject,
        names: names(&parsed),
    })
}

fn names(certificate: &Certificate) -> Vec<String> {
    let found = certificate.tbs_certificate.get::<SubjectAltName>();
    let Ok(Some((_, SubjectAltName(names)))) = found else {
        return Vec::new();
    };
    let text = |name: &GeneralName| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        GeneralName::IpAddress(address) => {
            let bytes = address.as_bytes();
            let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
            let v6 = <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
            Some(v4.or(v6).ok()?.to_string())
        }
        _ => None,
    };
    names.iter().filter_map(text).collect()
}

/// Says whether browsers take it for `host` now, and for how long.
pub fn judge(facts: &Facts, host: Option<&str>, now: Timestamp) -> Finding {
    let renew = "renew it; the gateway reads the files again";
    let days = (facts.until.0 - now.0).div_euclid(DAY_MS);
    if now < facts.from {
        let found = format!("valid only from {}", facts.from);
        return Finding::fail(CHECK, found, "compare the clock, or use the one before it");
    }
    if now >= facts.until {
        return Finding::fail(CHECK, format!("expired on {}", facts.until), renew);
    }
    if let Some(host) = host
        && !facts.names.iter().any(|name| covers(name, host))
    {
        let found = format!("is for {}, not for {host}", facts.names.join(", "));
        return Finding::fail(CHECK, found, "get one for the collector's host");
    }
    if facts.self_signed {
        let found = format!("self-signed, until {}: browsers refuse it", facts.until);
        return Finding::warn(CHECK, found, "get one from a public authority");
    }
    let found = format!("valid for {days} days, until {}", facts.until);
    if days < SOON_DAYS {
        return Finding::warn(CHECK, found, renew);
    }
    Finding::ok(CHECK, found)
}

/// A wildcard stands for exactly one label (RFC 9525, section 6.3).
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(rest) => host
            .split_once('.')
            .is_some_and(|(_, parent)| parent == rest),
        None => name == host,
    }
}
