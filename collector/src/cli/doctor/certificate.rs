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
use crate::edge::obtained;
use crate::settings::Settings;

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
    /// What follows it in the file.
    pub chain: Chain,
    /// The names and addresses it is for.
    pub names: Vec<String>,
}

/// Whether a client that knows only public roots can go from a certificate to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Each certificate's issuer follows it.
    Whole,
    /// Nothing follows.
    Alone,
    /// Another one than the issuer follows.
    Broken {
        /// Its place in the file, from 1.
        at: usize,
    },
}

/// Looks at every pair of `edge.https`, and whether one is for `host`; nothing where it is not
/// served.
pub fn listener(settings: &Settings, host: Option<&Target>, clock: &impl Clock) -> Vec<Finding> {
    if settings.edge.https.is_none() {
        return Vec::new();
    }
    let tls = &settings.edge.tls;
    let obtained = obtained(&tls.acme, &settings.data_dir);
    let at_hand = obtained.as_ref().filter(|files| files.cert.exists());
    let pairs = || tls.pair.iter().chain(at_hand).chain(&tls.certificates);
    let mut findings: Vec<Finding> = pairs()
        .map(|pair| files(&pair.cert, Some(&pair.key), None, clock))
        .collect();
    if let (Some(files), None) = (&obtained, at_hand) {
        findings.push(Finding::unknown(
            CHECK,
            format!(
                "{} is not there: nothing obtained yet",
                files.cert.display()
            ),
            "start the gateway; its log says what the ACME authority answers",
        ));
    } else if tls.pair.is_none() && obtained.is_none() {
        findings.push(Finding::warn(
            CHECK,
            "edge.https makes a self-signed pair at start: browsers refuse it",
            "set edge.tls.cert and edge.tls.key, or edge.tls.acme.domains",
        ));
    }
    let names = pairs().filter_map(|pair| read(&pair.cert, None).ok());
    let names: Vec<String> = names.flat_map(|facts| facts.names).collect();
    if let Some(host) = host
        && !names.is_empty()
        && !names.iter().any(|name| covers(name, &host.name))
    {
        findings.push(not_for(&names, &host.name));
    }
    findings
}

/// Reads the files and judges the first certificate of the chain.
pub fn files(
    cert: &Path,
    key: Option<&Path>,
    host: Option<&Target>,
    clock: &impl Clock,
) -> Finding {
    match read(cert, key) {
        Ok(facts) => {
            let finding = judge(&facts, host.map(|host| host.name.as_str()), clock.now());
            let found = format!("{}: {}", cert.display(), finding.found);
            Finding { found, ..finding }
        }
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
    let parsed = chain.iter().map(|der| Certificate::from_der(der));
    let parsed: Vec<Certificate> = parsed
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(cert, error.to_string()))?;
    let first = parsed
        .first()
        .ok_or_else(|| wrong(cert, "holds no certificate".to_owned()))?;
    if let Some(path) = key {
        let key = PrivateKeyDer::from_pem_file(path);
        let key = key.map_err(|error| wrong(path, error.to_string()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| wrong(path, error.to_string()))?;
    }
    let own = &first.tbs_certificate;
    let time = |time: &x509_cert::time::Time| {
        let ms = time.to_unix_duration().as_millis();
        Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
    };
    Ok(Facts {
        from: time(&own.validity.not_before),
        until: time(&own.validity.not_after),
        self_signed: own.issuer == own.subject,
        chain: chain_of(&parsed),
        names: names(first),
    })
}

/// Compares names only: what clients accept they decide by signatures and roots of their own.
fn chain_of(certificates: &[Certificate]) -> Chain {
    let issued =
        |pair: &[Certificate]| pair[0].tbs_certificate.issuer == pair[1].tbs_certificate.subject;
    match certificates.windows(2).position(|pair| !issued(pair)) {
        Some(before) => Chain::Broken { at: before + 2 },
        None if certificates.len() == 1 => Chain::Alone,
        None => Chain::Whole,
    }
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
        return not_for(&facts.names, host);
    }
    if facts.self_signed {
        let found = format!("self-signed, until {}: browsers refuse it", facts.until);
        return Finding::warn(CHECK, found, "get one from a public authority");
    }
    let whole = "give the issuer's certificate after the host's own, and so on up to the root";
    match facts.chain {
        Chain::Whole => {}
        Chain::Alone => {
            let found = "has no issuer's certificate with it: clients may not find one";
            return Finding::warn(CHECK, found, whole);
        }
        Chain::Broken { at } => {
            let found = format!("certificate {at} of the file is not the issuer of the one before");
            return Finding::warn(CHECK, found, whole);
        }
    }
    let names = facts.names.join(", ");
    let found = format!("for {names}, valid for {days} days, until {}", facts.until);
    if days < SOON_DAYS {
        return Finding::warn(CHECK, found, renew);
    }
    Finding::ok(CHECK, found)
}

fn not_for(names: &[String], host: &str) -> Finding {
    let found = format!("is for {}, not for {host}", names.join(", "));
    Finding::fail(CHECK, found, "get one for the collector's host")
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
