//! A self-signed pair for a first start, kept below the data directory so that a restart does not
//! change it. It holds 13 days, the most that a browser takes by its hash over QUIC being 14, and is
//! made anew two days before its end.

use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use tidegate_event::Timestamp;
use time::{Duration, OffsetDateTime};

use super::certificates::CertificateError;
use super::private_file;
use crate::settings::CertificateFiles;

/// The names that it is valid for: this machine only.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const LIFETIME: Duration = Duration::days(13);
/// Clocks of clients may be behind.
const BACKDATED: Duration = Duration::hours(1);
const RENEWED_BEFORE_S: i64 = 2 * 86_400;

/// Where it is kept.
pub(super) fn files(data_dir: &Path) -> CertificateFiles {
    let dir = data_dir.join("tls");
    CertificateFiles {
        cert: dir.join("self-signed.pem"),
        key: dir.join("self-signed-key.pem"),
    }
}

/// Makes a new pair where the one that is kept ends soon, or is none.
pub(super) fn renew(
    files: &CertificateFiles,
    ends_s: Option<i64>,
    now: Timestamp,
) -> Result<(), CertificateError> {
    let now_s = now.0 / 1_000;
    if ends_s.is_some_and(|ends_s| ends_s - now_s > RENEWED_BEFORE_S) {
        return Ok(());
    }
    let now = OffsetDateTime::from_unix_timestamp(now_s).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    params.not_before = now - BACKDATED;
    params.not_after = now - BACKDATED + LIFETIME;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "tidegate self-signed");
    let certificate = params.self_signed(&key)?;
    // The key first: a certificate without its key is refused until the next look.
    write(&files.key, &key.serialize_pem())?;
    write(&files.cert, &certificate.pem())
}

fn write(path: &Path, pem: &str) -> Result<(), CertificateError> {
    private_file::write(path, pem).map_err(|error| CertificateError::NotKept {
        path: path.to_owned(),
        error,
    })
}
