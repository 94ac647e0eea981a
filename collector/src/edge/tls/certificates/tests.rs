use std::os::unix::fs::PermissionsExt;

use prometheus_client::registry::Registry;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use super::*;
use crate::clock::SystemClock;
use crate::edge::fake::write_pair;
use crate::settings::Settings;

fn tls(dir: &TempDir, names: &[&str]) -> settings::Tls {
    let mut pairs = names.iter().map(|name| write_pair(dir.path(), name, name));
    settings::Tls {
        pair: pairs.next(),
        certificates: pairs.collect(),
        ..Settings::default().edge.tls
    }
}

fn open(settings: &settings::Tls, dir: &TempDir) -> (Certificates, Registry) {
    let mut registry = Registry::default();
    let metrics = TlsMetrics::register(&mut registry);
    let clock = Arc::new(SystemClock::default());
    let certificates = Certificates::open(settings, dir.path(), clock, metrics);
    (certificates.unwrap(), registry)
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

fn own(certificates: &Certificates, name: Option<&str>) -> CertificateDer<'static> {
    certificates.named(name).unwrap().cert[0].clone()
}

fn file_of(files: &CertificateFiles) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(&files.cert).unwrap()
}

#[test]
fn each_name_gets_its_own_certificate_and_all_others_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let settings = tls(&dir, &["a.example", "*.b.example"]);
    let (certificates, _) = open(&settings, &dir);
    let first = file_of(settings.pair.as_ref().unwrap());
    let second = file_of(&settings.certificates[0]);
    for (name, expected) in [
        (Some("a.example"), &first),
        (Some("www.b.example"), &second),
        (Some("WWW.B.example"), &second),
        (Some("b.example"), &first),
        (Some("c.example"), &first),
        (Some("not a name"), &first),
        (None, &first),
    ] {
        assert_eq!(&own(&certificates, name), expected, "{name:?}");
    }
}

#[test]
fn a_changed_pair_is_taken_and_a_bad_one_changes_nothing_and_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let settings = tls(&dir, &["a.example"]);
    let files = settings.pair.clone().unwrap();
    let (certificates, registry) = open(&settings, &dir);
    certificates.refresh();
    assert!(text(&registry).contains("tidegate_tls_reloads_total{result=\"ok\"} 0"));

    write_pair(dir.path(), "a.example", "a.example");
    let second = file_of(&files);
    certificates.refresh();
    assert_eq!(own(&certificates, None), second);
    assert!(text(&registry).contains("tidegate_tls_reloads_total{result=\"ok\"} 1"));

    // A certificate whose key has not been replaced yet.
    let key = std::fs::read(&files.key).unwrap();
    write_pair(dir.path(), "a.example", "a.example");
    let third = file_of(&files);
    let third_key = std::fs::read(&files.key).unwrap();
    std::fs::write(&files.key, key).unwrap();
    certificates.refresh();
    certificates.refresh();
    assert_eq!(own(&certificates, None), second);
    assert!(text(&registry).contains("tidegate_tls_reloads_total{result=\"failed\"} 1"));

    std::fs::write(&files.key, third_key).unwrap();
    certificates.refresh();
    assert_eq!(own(&certificates, None), third);
    for bad in [&b""[..], b"-----BEGIN CERTIFICATE-----\nAAAA\n", &[0xff; 9]] {
        std::fs::write(&files.cert, bad).unwrap();
        certificates.refresh();
        assert!(certificates.reload().is_err(), "whoever asks is told again");
        assert!(certificates.reload().is_err(), "each time");
        assert_eq!(own(&certificates, None), third);
    }
    std::fs::remove_file(&files.cert).unwrap();
    assert!(matches!(
        certificates.reload(),
        Err(CertificateError::Unreadable { .. })
    ));
    assert_eq!(own(&certificates, None), third);
}

#[test]
fn without_a_configured_pair_one_is_made_kept_and_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings::default().edge.tls;
    let (certificates, registry) = open(&settings, &dir);
    let made = own(&certificates, Some("localhost"));
    let key = dir.path().join("tls/self-signed-key.pem");
    let mode = std::fs::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let now_s = SystemClock::default().now().0 / 1_000;
    let (_, ends_s) = validity_s(&made).unwrap();
    assert!(ends_s > now_s + 12 * 86_400 && ends_s < now_s + 13 * 86_400);
    assert!(text(&registry).contains(&format!("self-signed.pem\"}} {ends_s}")));

    let (again, _) = open(&settings, &dir);
    assert_eq!(own(&again, None), made, "a restart keeps it");

    let files = certificates.own.self_signed.as_ref().unwrap();
    self_signed::renew(files, Some(ends_s), again.clock.now()).unwrap();
    assert!(!certificates.reload().unwrap(), "it is far from its end");
    let late = tidegate_event::Timestamp((ends_s - 86_400) * 1_000);
    self_signed::renew(files, Some(ends_s), late).unwrap();
    assert!(certificates.reload().unwrap());
    assert_ne!(own(&certificates, None), made);
}

#[test]
fn what_an_authority_signed_takes_the_place_of_the_self_signed_pair() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = Settings::default().edge.tls;
    settings.acme.domains = vec!["a.example".to_owned()];
    let (certificates, registry) = open(&settings, &dir);
    let made = own(&certificates, Some("a.example"));
    assert!(text(&registry).contains("self-signed.pem"));

    let signed = write_pair(dir.path(), "signed", "a.example");
    let obtained = certificates.own.obtained.clone().unwrap();
    std::fs::create_dir_all(obtained.cert.parent().unwrap()).unwrap();
    let both = [&signed.key, &signed.cert].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&obtained.cert, both.concat()).unwrap();
    certificates.refresh();
    for name in [None, Some("a.example"), Some("b.example")] {
        assert_eq!(own(&certificates, name), file_of(&signed), "{name:?}");
    }
    assert!(
        !text(&registry).contains("self-signed.pem"),
        "it is not in use"
    );

    // One that is broken on disk is ordered anew, and no reason not to start.
    std::fs::write(&obtained.cert, "broken").unwrap();
    let (again, _) = open(&settings, &dir);
    assert_eq!(own(&again, None), made);

    // A configured pair stays the one for everybody else.
    std::fs::write(&obtained.cert, both.concat()).unwrap();
    settings.pair = Some(write_pair(dir.path(), "b.example", "b.example"));
    let (beside, _) = open(&settings, &dir);
    assert_eq!(own(&beside, Some("a.example")), file_of(&signed));
    let pair = settings.pair.as_ref().unwrap();
    assert_eq!(own(&beside, None), file_of(pair));
}
