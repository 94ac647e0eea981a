use prometheus_client::registry::Registry;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::edge::fake::write_pair;
use crate::settings::Settings;

/// For `a.example`, beside the given certificate files.
fn acme(dir: &TempDir, further: Vec<CertificateFiles>) -> (Acme, Arc<Certificates>) {
    let mut settings = Settings::default().edge.tls;
    settings.acme.domains = vec!["a.example".to_owned()];
    settings.certificates = further;
    let metrics = TlsMetrics::register(&mut Registry::default());
    let clock = Arc::new(SystemClock::default());
    let certificates =
        Certificates::open(&settings, dir.path(), clock.clone(), metrics.clone()).unwrap();
    let certificates = Arc::new(certificates);
    let shared = Arc::clone(&certificates);
    let acme = Acme::open(&settings.acme, dir.path(), shared, clock, metrics);
    (acme.unwrap().unwrap(), certificates)
}

/// Key and chain as an authority's order leaves them, and the certificate itself.
fn signed(dir: &TempDir) -> (String, CertificateDer<'static>) {
    let files = write_pair(dir.path(), "signed", "a.example");
    let both = [&files.key, &files.cert].map(|path| std::fs::read_to_string(path).unwrap());
    (both.concat(), file_of(&files))
}

fn file_of(files: &CertificateFiles) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.cert).unwrap()
}

fn own(certificates: &Certificates, name: &str) -> CertificateDer<'static> {
    certificates.named(Some(name)).unwrap().cert[0].clone()
}

#[test]
fn a_renewal_is_taken_although_another_certificate_file_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let other = write_pair(dir.path(), "other", "b.example");
    let kept = file_of(&other);
    let (acme, certificates) = acme(&dir, vec![other.clone()]);
    std::fs::write(&other.cert, "broken").unwrap();
    for _ in 0..2 {
        let (pem, renewed) = signed(&dir);
        acme.put(&pem).unwrap();
        for name in ["a.example", "c.example"] {
            assert_eq!(own(&certificates, name), renewed, "{name}");
        }
        assert_eq!(own(&certificates, "b.example"), kept);
        certificates.refresh();
        assert_eq!(own(&certificates, "a.example"), renewed);
        let told = certificates.reload().unwrap_err().to_string();
        assert!(told.contains(&other.cert.display().to_string()), "{told}");
    }
    assert!(acme.due_ms().unwrap() > acme.clock.now().0);
    let mended = write_pair(dir.path(), "other", "b.example");
    assert!(certificates.reload().unwrap());
    assert_eq!(own(&certificates, "b.example"), file_of(&mended));
    assert!(!certificates.reload().unwrap(), "all is in use");
}

/// A folder in its place is a file that even root cannot read.
#[test]
fn a_file_that_is_there_and_cannot_be_read_orders_nothing_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (acme, certificates) = acme(&dir, Vec::new());
    assert_eq!(acme.due_ms().unwrap(), 0, "there is none");
    let (pem, first) = signed(&dir);
    acme.put(&pem).unwrap();
    let path = acme.kept.certificate().cert;
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    certificates.refresh();
    assert_eq!(own(&certificates, "a.example"), first, "it stays in use");
    let told = acme.due_ms().unwrap_err().to_string();
    assert!(told.contains(&path.display().to_string()), "{told}");
    let (again, started) = self::acme(&dir, Vec::new());
    assert!(again.due_ms().is_err());
    assert_ne!(own(&started, "a.example"), first, "a start goes on without");

    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "broken").unwrap();
    certificates.refresh();
    assert_eq!(own(&certificates, "a.example"), first);
    assert_eq!(acme.due_ms().unwrap(), 0, "an order replaces it");
    std::fs::create_dir(acme.kept.failures_path()).unwrap();
    assert!(acme.due_ms().is_err(), "how long to wait is not known");
}
