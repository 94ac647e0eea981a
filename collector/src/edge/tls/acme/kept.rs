//! What outlasts a restart, below the data directory and readable by its owner only: the account, the
//! certificate with its key, and how often in a row it failed. Each authority has a folder of its own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use instant_acme::AccountCredentials;
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::AcmeError;
use crate::edge::tls::certificates::{self, CertificateError};
use crate::edge::tls::private_file;
use crate::settings::CertificateFiles;

/// The folder of one authority.
#[derive(Debug)]
pub(super) struct Kept {
    dir: PathBuf,
}

/// Failures in a row, and until when nothing is ordered because of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) wait_until_ms: i64,
}

impl Kept {
    /// Makes nothing yet.
    pub(super) fn of(data_dir: &Path, directory: &str) -> Self {
        let host = directory.parse::<http::Uri>().ok();
        let host = host
            .as_ref()
            .and_then(|url| url.host())
            .unwrap_or("authority");
        // A host may have several directories.
        let digest = hex::encode(&Sha256::digest(directory)[..4]);
        let dir = data_dir.join("acme").join(format!("{host}-{digest}"));
        Self { dir }
    }

    /// Key and chain, in one file so that they are replaced in one move.
    pub(super) fn certificate(&self) -> CertificateFiles {
        let path = self.dir.join("certificate.pem");
        CertificateFiles {
            cert: path.clone(),
            key: path,
        }
    }

    /// What it holds; None where there is none, or no pair in it: then a new one is as good.
    pub(super) fn pair(&self) -> Result<Option<Arc<CertifiedKey>>, AcmeError> {
        match certificates::load(&self.certificate()) {
            Ok(pair) => Ok(Some(pair)),
            Err(CertificateError::Unreadable { path, error }) => {
                absent(error).map_err(|error| AcmeError::Unreadable { path, error })
            }
            Err(_) => Ok(None),
        }
    }

    pub(super) fn keep_certificate(&self, pem: &str) -> Result<(), AcmeError> {
        keep(&self.certificate().cert, pem)
    }

    /// The account; None where there is none, or its file is broken: then a new one is as good.
    pub(super) fn account(&self) -> Result<Option<AccountCredentials>, AcmeError> {
        Ok(read(self.account_path())?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    pub(super) fn keep_account(&self, account: &AccountCredentials) -> Result<(), AcmeError> {
        let text = serde_json::to_string(account).map_err(|error| AcmeError::NotKept {
            path: self.account_path(),
            error: error.into(),
        })?;
        keep(&self.account_path(), &text)
    }

    /// The authority does not know it any more.
    pub(super) fn forget_account(&self) {
        // Where it stays, the next order says so again.
        let _ = std::fs::remove_file(self.account_path());
    }

    /// Where [`Failures`] stand.
    pub(super) fn failures_path(&self) -> PathBuf {
        self.dir.join("failures.json")
    }

    /// None in a row where there is no file, or none that says.
    pub(super) fn failures(&self) -> Result<Failures, AcmeError> {
        let bytes = read(self.failures_path())?.unwrap_or_default();
        Ok(serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub(super) fn keep_failures(&self, failures: Failures) -> Result<(), AcmeError> {
        let path = self.failures_path();
        if failures.count == 0 {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    Err(AcmeError::NotKept { path, error })
                }
                _ => Ok(()),
            };
        }
        let text = serde_json::to_string(&failures).unwrap_or_default();
        keep(&path, &text)
    }

    fn account_path(&self) -> PathBuf {
        self.dir.join("account.json")
    }
}

fn read(path: PathBuf) -> Result<Option<Vec<u8>>, AcmeError> {
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => absent(error).map_err(|error| AcmeError::Unreadable { path, error }),
    }
}

/// None of a file that is not there. Any other error says nothing of what it holds.
fn absent<T>(error: std::io::Error) -> std::io::Result<Option<T>> {
    if error.kind() == ErrorKind::NotFound {
        Ok(None)
    } else {
        Err(error)
    }
}

fn keep(path: &Path, text: &str) -> Result<(), AcmeError> {
    private_file::write(path, text).map_err(|error| AcmeError::NotKept {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_outlast_a_restart_and_a_success_forgets_them() {
        let dir = tempfile::tempdir().unwrap();
        let kept = || Kept::of(dir.path(), "https://ca.example.com/directory");
        assert_eq!(kept().failures().unwrap(), Failures::default());
        let failures = Failures {
            count: 3,
            wait_until_ms: 7,
        };
        kept().keep_failures(failures).unwrap();
        assert_eq!(kept().failures().unwrap(), failures);
        let other = Kept::of(dir.path(), "https://ca.example.com/staging");
        assert_eq!(other.failures().unwrap(), Failures::default());
        for _ in 0..2 {
            kept().keep_failures(Failures::default()).unwrap();
            assert_eq!(kept().failures().unwrap(), Failures::default());
        }
    }
}
