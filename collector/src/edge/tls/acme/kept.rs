//! What outlasts a restart, below the data directory and readable by its owner only: the account, the
//! certificate with its key, and how often in a row it failed. Each authority has a folder of its own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::AcmeError;
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

    pub(super) fn keep_certificate(&self, pem: &str) -> Result<(), AcmeError> {
        keep(&self.certificate().cert, pem)
    }

    /// The account; None where there is none, or its file is broken: then a new one is as good.
    pub(super) fn account(&self) -> Result<Option<AccountCredentials>, AcmeError> {
        let path = self.account_path();
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(AcmeError::NotKept { path, error }),
        }
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

    pub(super) fn failures(&self) -> Failures {
        let bytes = std::fs::read(self.failures_path());
        let bytes = bytes.unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
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
        assert_eq!(kept().failures(), Failures::default());
        let failures = Failures {
            count: 3,
            wait_until_ms: 7,
        };
        kept().keep_failures(failures).unwrap();
        assert_eq!(kept().failures(), failures);
        let other = Kept::of(dir.path(), "https://ca.example.com/staging");
        assert_eq!(other.failures(), Failures::default());
        for _ in 0..2 {
            kept().keep_failures(Failures::default()).unwrap();
            assert_eq!(kept().failures(), Failures::default());
        }
    }
}
