//! The certificates in use: read from their files, found by the name a client asks for, replaced
//! all at once when a file changes. A file that cannot be used changes nothing.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::client::verify_server_name;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_cert::der::Decode;

use super::metrics::TlsMetrics;
use super::self_signed;
use crate::clock::Clock;
use crate::settings::{self, CertificateFiles};

/// Bytes of a certificate or key file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read, or is larger than a certificate can be.
    #[error("cannot read {}: {error}; check the path and its permissions", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is read, and is not what it should be.
    #[error("{} holds no usable {what}: {error}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Certificate or key.
        what: &'static str,
        /// What the parser says.
        error: rustls::pki_types::pem::Error,
    },
    /// Certificate and key are no pair.
    #[error("{} and {} are no pair: {error}", files.cert.display(), files.key.display())]
    NoPair {
        /// Both.
        files: CertificateFiles,
        /// What the library says.
        error: rustls::Error,
    },
    /// A self-signed pair cannot be made.
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
    /// Or cannot be kept.
    #[error("cannot keep a self-signed certificate in {}: {error}", path.display())]
    NotKept {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// What the files of all pairs hold.
#[derive(Debug, PartialEq, Eq)]
struct Digests(Vec<[u8; 32]>);

/// The certificates in use.
#[derive(Debug)]
pub struct Certificates {
    /// The first one is for whoever names no host or an unknown one.
    files: Vec<CertificateFiles>,
    /// Whether the first pair is our own to renew.
    self_signed: bool,
    current: ArcSwap<Vec<Arc<CertifiedKey>>>,
    /// What was read last, good or bad: a bad file is reported once.
    seen: Mutex<Option<Digests>>,
    clock: Arc<dyn Clock>,
    metrics: TlsMetrics,
}

impl Certificates {
    /// Reads the configured pairs, or makes a self-signed one in `data_dir`.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub(super) fn open(
        settings: &settings::Tls,
        data_dir: &Path,
        clock: Arc<dyn Clock>,
        metrics: TlsMetrics,
    ) -> Result<Self, CertificateError> {
        let first = settings.pair.clone();
        let self_signed = first.is_none();
        let first = first.unwrap_or_else(|| self_signed::files(data_dir));
        let files = std::iter::once(first).chain(settings.certificates.iter().cloned());
        let certificates = Self {
            files: files.collect(),
            self_signed,
            current: ArcSwap::default(),
            seen: Mutex::new(None),
            clock,
            metrics,
        };
        if self_signed {
            certificates.renew_self_signed()?;
            tracing::warn!(
                certificate = %certificates.files[0].cert.display(),
                "https runs on a self-signed certificate that no browser trusts: \
                 set edge.tls.cert and edge.tls.key"
            );
        }
        certificates.reload()?;
        Ok(certificates)
    }

    /// Reads the files again and takes them where they changed; true where they did.
    ///
    /// # Errors
    /// [`CertificateError`]; then what was in use stays in use.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let mut seen = self.seen.lock();
        let mut digests = Vec::new();
        let loaded: Vec<_> = self
            .files
            .iter()
            .map(|files| load(files, &mut digests))
            .collect();
        let digests = Some(Digests(digests));
        if *seen == digests {
            return Ok(false);
        }
        *seen = digests;
        let loaded: Vec<Arc<CertifiedKey>> = loaded.into_iter().collect::<Result<_, _>>()?;
        for (files, pair) in self.files.iter().zip(&loaded) {
            if let Some(at_s) = pair.cert.first().and_then(expiry_s) {
                self.metrics
                    .expires(&files.cert.display().to_string(), at_s);
            }
        }
        self.current.store(Arc::new(loaded));
        Ok(true)
    }

    /// One look at the files, its end logged and counted.
    pub(super) fn refresh(&self) {
        if self.self_signed
            && let Err(error) = self.renew_self_signed()
        {
            tracing::error!(%error, "the self-signed certificate was not renewed");
        }
        match self.reload() {
            Ok(false) => {}
            Ok(true) => {
                self.metrics.reloaded();
                tracing::info!("changed certificates are in use");
            }
            Err(error) => {
                self.metrics.refused();
                tracing::error!(%error, "changed certificates refused, the old ones stay");
            }
        }
    }

    fn renew_self_signed(&self) -> Result<(), CertificateError> {
        let files = &self.files[0];
        let ends_s = load(files, &mut Vec::new())
            .ok()
            .and_then(|pair| expiry_s(pair.cert.first()?));
        self_signed::renew(files, ends_s, self.clock.now())
    }

    fn named(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let pairs = self.current.load();
        let name = name.and_then(|name| ServerName::try_from(name).ok());
        let fitting = name.and_then(|name| {
            pairs.iter().find(|pair| {
                let own = pair.cert.first().map(ParsedCertificate::try_from);
                matches!(own, Some(Ok(own)) if verify_server_name(&own, &name).is_ok())
            })
        });
        fitting.or_else(|| pairs.first()).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.named(hello.server_name())
    }
}

/// Adds what each file holds to `digests` also where it cannot be used.
fn load(
    files: &CertificateFiles,
    digests: &mut Vec<[u8; 32]>,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let mut read = |path: &PathBuf| {
        let read = read_bounded(path);
        digests.push(
            read.as_ref()
                .map_or([0; 32], |bytes| Sha256::digest(bytes).into()),
        );
        read.map_err(|error| CertificateError::Unreadable {
            path: path.clone(),
            error,
        })
    };
    let (cert, key) = (read(&files.cert), read(&files.key));
    let unusable = |path: &PathBuf, what| {
        let path = path.clone();
        move |error| CertificateError::Unusable { path, what, error }
    };
    let chain = CertificateDer::pem_slice_iter(&cert?)
        .collect::<Result<Vec<_>, _>>()
        .and_then(|chain| {
            let empty = rustls::pki_types::pem::Error::NoItemsFound;
            if chain.is_empty() {
                Err(empty)
            } else {
                Ok(chain)
            }
        })
        .map_err(unusable(&files.cert, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&key?).map_err(unusable(&files.key, "private key"))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map(Arc::new)
        .map_err(|error| CertificateError::NoPair {
            files: files.clone(),
            error,
        })
}

fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(std::io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// When it ends, in seconds since 1970; None where it cannot be read.
fn expiry_s(certificate: &CertificateDer<'_>) -> Option<i64> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate.validity.not_after;
    i64::try_from(end.to_unix_duration().as_secs()).ok()
}

#[cfg(test)]
mod tests;
