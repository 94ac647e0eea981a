//! One pair from its files: bounded, checked to belong together, or why it cannot be used. Does not
//! know which pairs are in use.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_cert::der::Decode;

use crate::settings::CertificateFiles;

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

impl CertificateError {
    /// True where there is no such file, which says nothing of one that cannot be read.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Unreadable { error, .. } if error.kind() == ErrorKind::NotFound)
    }
}

/// What each file of all pairs holds; zeros of one that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Digests(pub(super) BTreeMap<PathBuf, [u8; 32]>);

/// Reads a pair.
pub(in super::super) fn load(
    files: &CertificateFiles,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    read(files, &mut Digests::default())
}

/// Adds what each file holds to `digests` also where it cannot be used.
pub(super) fn read(
    files: &CertificateFiles,
    digests: &mut Digests,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let mut read = |path: &PathBuf| {
        let read = read_bounded(path);
        let digest = read.as_ref().map(|bytes| Sha256::digest(bytes).into());
        digests.0.insert(path.clone(), digest.unwrap_or([0; 32]));
        read.map_err(|error| CertificateError::Unreadable {
            path: path.clone(),
            error,
        })
    };
    let cert = read(&files.cert);
    // One file may hold both, and be replaced between two looks at it.
    if files.key == files.cert {
        let both = cert?;
        return pair(files, &both, &both);
    }
    let key = read(&files.key);
    pair(files, &cert?, &key?)
}

/// What `files` hold, as a pair.
pub(in super::super) fn pair(
    files: &CertificateFiles,
    cert: &[u8],
    key: &[u8],
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let unusable = |path: &PathBuf, what| {
        let path = path.clone();
        move |error| CertificateError::Unusable { path, what, error }
    };
    let chain = CertificateDer::pem_slice_iter(cert)
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
    let key = PrivateKeyDer::from_pem_slice(key).map_err(unusable(&files.key, "private key"))?;
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
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// From when to when it holds, in seconds since 1970; None where that cannot be read.
pub(in super::super) fn validity_s(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate.validity;
    let begins_s = validity.not_before.to_unix_duration().as_secs();
    let ends_s = validity.not_after.to_unix_duration().as_secs();
    Some((i64::try_from(begins_s).ok()?, i64::try_from(ends_s).ok()?))
}
