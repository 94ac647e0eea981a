//! A TLS certificate as a file: whether it parses, fits its key and its host, and for how long.
//! It opens no connection.

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

use super::finding::{Finding, Verdict};
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
        .flat_map(|pair| files(&pair.cert, Some(&pair.key), None, clock))
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
    let names = pairs().filter_map(|pair| read(&pair.cert).ok());
    let names: Vec<String> = names.flat_map(|facts| facts.names).collect();
    if let Some(host) = host
        && !names.is_empty()
        && !names.iter().any(|name| covers(name, &host.name))
    {
        findings.push(not_for(&names, &host.name));
    }
    findings
}

/// Reads the files and judges the first certificate of the chain: all that is wrong with it, or
/// one line that nothing is.
pub fn files(
    cert: &Path,
    key: Option<&Path>,
    host: Option<&Target>,
    clock: &impl Clock,
) -> Vec<Finding> {
    let unusable = |why| {
        Finding::fail(
            CHECK,
            why,
            "give the whole chain as PEM, the host's own certificate first, and its key",
        )
    };
    let unfit = key.and_then(|key| fits(cert, key).err()).map(unusable);
    match read(cert) {
        Ok(facts) => {
            let host = host.map(|host| host.name.as_str());
            let judged = judge(&facts, host, clock.now()).into_iter();
            let judged = judged.filter(|one| unfit.is_none() || one.verdict != Verdict::Ok);
            let named = judged.map(|finding| {
                let found = format!("{}: {}", cert.display(), finding.found);
                Finding { found, ..finding }
            });
            unfit.clone().into_iter().chain(named).collect()
        }
        // Which is why no key fits it.
        Err(why) => vec![unusable(why)],
    }
}

fn wrong(path: &Path, why: impl std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

fn chain(cert: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(cert, error))
}

/// Whether `key` is the certificate's.
fn fits(cert: &Path, key: &Path) -> Result<(), String> {
    let chain = chain(cert)?;
    let der = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, error))?;
    CertifiedKey::from_der(chain, der, &ring::default_provider())
        .map_err(|error| wrong(key, error))?;
    Ok(())
}

fn read(cert: &Path) -> Result<Facts, String> {
    let chain = chain(cert)?;
    let parsed = chain.iter().map(|der| Certificate::from_der(der));
    let parsed: Vec<Certificate> = parsed
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(cert, error))?;
    let first = parsed
        .first()
        .ok_or_else(|| wrong(cert, "holds no certificate"))?;
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

/// Says whether browsers take it for `host` now, and for how long: every fault, or one line that
/// there is none.
pub fn judge(facts: &Facts, host: Option<&str>, now: Timestamp) -> Vec<Finding> {
    let foreign = host.filter(|host| !facts.names.iter().any(|name| covers(name, host)));
    let foreign = foreign.map(|host| not_for(&facts.names, host));
    let faults = [dates(facts, now), foreign, issuer(facts)];
    let faults: Vec<Finding> = faults.into_iter().flatten().collect();
    if !faults.is_empty() {
        return faults;
    }
    let (names, days) = (facts.names.join(", "), days_left(facts, now));
    let found = format!("for {names}, valid for {days} days, until {}", facts.until);
    vec![Finding::ok(CHECK, found)]
}

const fn days_left(facts: &Facts, now: Timestamp) -> i64 {
    (facts.until.0 - now.0).div_euclid(DAY_MS)
}

fn dates(facts: &Facts, now: Timestamp) -> Option<Finding> {
    let renew = "renew it; the gateway reads the files again";
    if now < facts.from {
        let found = format!("valid only from {}", facts.from);
        let next = "compare the clock, or use the one before it";
        return Some(Finding::fail(CHECK, found, next));
    }
    if now >= facts.until {
        let found = format!("expired on {}", facts.until);
        return Some(Finding::fail(CHECK, found, renew));
    }
    let days = days_left(facts, now);
    let found = || format!("ends in {days} days, on {}", facts.until);
    (days < SOON_DAYS).then(|| Finding::warn(CHECK, found(), renew))
}

fn issuer(facts: &Facts) -> Option<Finding> {
    if facts.self_signed {
        let next = "get one from a public authority";
        return Some(Finding::warn(
            CHECK,
            "self-signed: browsers refuse it",
            next,
        ));
    }
    let found = match facts.chain {
        Chain::Whole => return None,
        Chain::Alone => "has no issuer's certificate with it: clients may not find one".to_owned(),
        Chain::Broken { at } => {
            format!("certificate {at} of the file is not the issuer of the one before")
        }
    };
    let whole = "give the issuer's certificate after the host's own, and so on up to the root";
    Some(Finding::warn(CHECK, found, whole))
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
