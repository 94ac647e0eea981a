use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, TcpListener};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tidegate_event::Timestamp;

use super::certificate::{Chain, Facts, files, judge as certificate, listener};
use super::descriptors::judge as descriptors;
use super::filesystem::{judge_kind, judge_space};
use super::finding::Finding;
use super::finding::Verdict::{self, Fail, Ok as Good, Unknown, Warn};
use super::host::{Host, Target};
use super::ports::{Transport, judge as port};
use super::safari::{Lifetime, cookie, lifetime, share_a_half};
use super::sync::{Latency, judge as sync, latency};
use super::time_of_day::{Known, ask, date, judge as time};
use super::token;
use super::udp::{judge_buffer, judge_segments};
use crate::app::OpenFiles;
use crate::clock::{Clock as _, SystemClock};
use crate::edge::obtained;
use crate::settings::{CertificateFiles, Settings};

const GIB: u64 = 1 << 30;
const DAY_MS: i64 = 86_400_000;

fn host(name: &str, canonical: &str, addresses: &[&str]) -> Host {
    let parse = |text: &&str| text.parse::<IpAddr>().unwrap();
    Host {
        name: name.to_owned(),
        canonical: canonical.to_owned(),
        addresses: addresses.iter().map(parse).collect(),
    }
}

fn plain(name: &str, addresses: &[&str]) -> Host {
    host(name, name, addresses)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn safari_keeps_the_cookie_where_name_and_address_are_the_sites_own() {
    let www = plain("www.example.com", &["198.51.100.1", "2001:db8:1:2::1"]);
    let front = host("www.shop.co.uk", "shop.cdn.example", &["203.0.113.1"]);
    for (site, collector, expected) in [
        (
            &www,
            plain("www.example.com", &["10.0.0.1"]),
            Lifetime::Whole,
        ),
        (
            &www,
            plain("t.example.com", &["198.51.7.7"]),
            Lifetime::Whole,
        ),
        (
            &www,
            plain("t.example.com", &["198.50.100.1"]),
            Lifetime::Elsewhere,
        ),
        (
            &www,
            plain("t.example.com", &["2001:db8:1:2:ffff::9"]),
            Lifetime::Whole,
        ),
        (
            &www,
            plain("t.example.com", &["2001:db8:1:3::1"]),
            Lifetime::Elsewhere,
        ),
        (
            &www,
            plain("t.example.com", &["198.51.7.7", "10.0.0.1"]),
            Lifetime::Mixed,
        ),
        (
            &www,
            plain("t.example.net", &["198.51.100.1"]),
            Lifetime::Blocked,
        ),
        (
            &www,
            host("t.example.com", "in.vendor.example", &["198.51.100.1"]),
            Lifetime::Alias,
        ),
        (
            &www,
            host("t.example.com", "lb.example.com", &["198.51.100.1"]),
            Lifetime::Whole,
        ),
        // The page is an alias of the same front.
        (
            &front,
            host("t.shop.co.uk", "t.cdn.example", &["203.0.113.9"]),
            Lifetime::Whole,
        ),
        // co.uk is nobody's own.
        (
            &front,
            plain("t.other.co.uk", &["203.0.113.1"]),
            Lifetime::Blocked,
        ),
    ] {
        assert_eq!(
            lifetime(site, &collector),
            expected,
            "{site:?} {collector:?}"
        );
    }
}

#[test]
fn half_an_address_is_16_bits_of_ipv4_and_64_of_ipv6() {
    for (one, other, expected) in [
        ("192.0.2.1", "192.0.255.255", true),
        ("192.0.2.1", "192.1.2.1", false),
        ("::ffff:192.0.2.1", "192.0.9.9", true),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("2001:db8::1", "192.0.2.1", false),
    ] {
        let (a, b): (IpAddr, IpAddr) = (one.parse().unwrap(), other.parse().unwrap());
        assert_eq!(share_a_half(a, b), expected, "{one} {other}");
    }
}

#[test]
fn each_of_safaris_answers_says_what_to_do() {
    let www = || Ok(plain("www.example.com", &["198.51.100.1"]));
    for (collector, verdict, word) in [
        (
            Ok(plain("t.example.com", &["198.51.7.7"])),
            Good,
            "cookie.lifetime",
        ),
        (Ok(plain("t.example.com", &["10.0.0.1"])), Warn, "7 days"),
        (
            Ok(plain("t.example.net", &["10.0.0.1"])),
            Fail,
            "another site",
        ),
        (
            Err("t.example.com has no address".to_owned()),
            Unknown,
            "no address",
        ),
    ] {
        let finding = cookie(www(), collector);
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert!(finding.found.contains(word), "{finding:?}");
        assert_eq!(finding.next.is_none(), verdict == Good, "{finding:?}");
    }
}

#[test]
fn a_target_is_the_host_of_a_url() {
    for (url, name, port) in [
        ("https://T.Example.com/tag.js", "t.example.com", 80),
        ("https://t.example.com:8443", "t.example.com", 80),
        ("http://127.0.0.1:8080", "127.0.0.1", 8080),
        ("http://[::1]/", "::1", 80),
    ] {
        let target = Target::parse(url).unwrap();
        assert_eq!(
            (&*target.name, target.cleartext_port),
            (name, port),
            "{url}"
        );
    }
    for wrong in ["", "t.example.com", "ftp://t.example.com", "https://", "/x"] {
        assert!(Target::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_disk_that_is_none_or_goes_away_is_told() {
    for (magic, expected) in [
        (0x0102_1994, Fail),
        (0x794c_7630, Warn),
        (0x6969, Warn),
        (0x6573_5546, Warn),
        (0xef53, Good),
        (0x5846_5342, Good),
    ] {
        assert_eq!(judge_kind(magic).verdict, expected, "{magic:x}");
    }
}

#[test]
fn the_budget_must_fit_beside_what_is_used_already() {
    let segment = 64 << 20;
    for (available, used, expected) in [
        (11 * GIB, 0, Good),
        (3 * GIB, 8 * GIB, Good),
        (3 * GIB, 6 * GIB, Warn),
        (100 << 20, 9 * GIB, Fail),
    ] {
        let finding = judge_space(available, used, 10 * GIB, segment);
        assert_eq!(finding.verdict, expected, "{finding:?}");
    }
}

#[test]
fn syncs_that_are_slow_or_too_good_to_be_true_are_told() {
    for (p50, p99, expected) in [
        (300, 4_000, Good),
        (30, 60, Good),
        (3, 9, Warn),
        (2_000, 21_000, Warn),
        (2_000, 300_000, Fail),
    ] {
        let finding = sync(Latency {
            p50,
            p99,
            count: 256,
        });
        assert_eq!(finding.verdict, expected, "{finding:?}");
    }
}

#[test]
fn a_measured_disk_keeps_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let finding = latency(directory.path(), &SystemClock::default());
    assert!(finding.found.contains("p99"), "{finding:?}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let absent = latency(&directory.path().join("none"), &SystemClock::default());
    assert_eq!(absent.verdict, Fail);
}

#[test]
fn open_files_must_be_enough_for_the_connections() {
    let settings = Settings::default();
    let need = OpenFiles::wanted(&settings);
    for (limit, expected) in [
        (None, Good),
        (Some(1_048_576), Good),
        (Some(need), Good),
        (Some(need - 1), Warn),
        (Some(64), Fail),
    ] {
        let found = descriptors(OpenFiles::of(limit), &settings);
        assert_eq!(found.verdict, expected, "{limit:?}");
    }
}

#[test]
fn a_taken_port_is_a_fault_unless_its_gateway_has_it() {
    let address = "127.0.0.1:80".parse().unwrap();
    for (tried, own, expected) in [
        (Ok(()), false, Good),
        (Err(ErrorKind::AddrInUse), true, Good),
        (Err(ErrorKind::AddrInUse), false, Fail),
        (Err(ErrorKind::PermissionDenied), false, Fail),
        (Err(ErrorKind::AddrNotAvailable), true, Fail),
    ] {
        assert_eq!(
            port("edge.http", Transport::Tcp, address, tried, own).verdict,
            expected
        );
    }
}

#[test]
fn a_small_udp_buffer_and_a_kernel_without_gso_are_told() {
    assert_eq!(judge_buffer(208 << 10).verdict, Warn);
    assert_eq!(judge_buffer(2 << 20).verdict, Good);
    assert_eq!(judge_segments(1).verdict, Warn);
    assert_eq!(judge_segments(64).verdict, Good);
}

fn known(ahead_ms: Option<Result<i64, String>>) -> Known {
    Known {
        now: Timestamp(1_000_000),
        newest_file: Some(Timestamp(999_000)),
        synchronized: false,
        ahead_ms,
    }
}

#[test]
fn a_clock_is_wrong_where_files_or_another_clock_say_so() {
    let silent = || Some(Err("refused".to_owned()));
    for (known, expected) in [
        (known(Some(Ok(4_000))), Good),
        (known(Some(Ok(-6_000))), Warn),
        (known(Some(Ok(301_000))), Fail),
        (known(Some(Ok(-301_000))), Fail),
        (known(None), Unknown),
        (known(silent()), Unknown),
        (
            Known {
                synchronized: true,
                ..known(None)
            },
            Good,
        ),
        (
            Known {
                synchronized: true,
                ..known(silent())
            },
            Good,
        ),
        (
            Known {
                newest_file: None,
                ..known(None)
            },
            Unknown,
        ),
        (
            Known {
                newest_file: Some(Timestamp(1_003_000)),
                ..known(Some(Ok(0)))
            },
            Fail,
        ),
    ] {
        assert_eq!(time(&known).verdict, expected, "{known:?}");
    }
}

#[test]
fn an_answers_date_counts_the_time_it_lay_in_a_cache() {
    let head = "HTTP/1.1 301 Moved\r\nDATE: Mon, 23 Nov 2026 04:00:00 GMT\r\nAge: 30\r\n\r\n";
    assert_eq!(date(head), Some(Timestamp(1_795_406_430_000)));
    assert_eq!(date("HTTP/1.1 200 OK\r\nage: 3\r\n\r\n"), None);
    assert_eq!(date(""), None);
}

#[test]
fn the_site_is_asked_for_its_clock_with_one_head_request() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1_024];
        let read = stream.read(&mut request).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:10 GMT\r\n\r\n")
            .unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    let clock = SystemClock::default();
    let ahead = ask(&Target::parse(&url).unwrap(), &clock).unwrap();
    assert!(
        (0..60_000).contains(&(clock.now().0 - 10_000 - ahead)),
        "{ahead}"
    );
    assert!(server.join().unwrap().starts_with("HEAD / HTTP/1.1\r\n"));
}

#[test]
fn a_token_that_others_may_read_is_told() {
    assert_eq!(token::judge(true, 0o644).verdict, Good);
    for mode in [0o600, 0o644] {
        let plain = token::judge(false, mode);
        assert_eq!(plain.verdict, Warn);
        assert!(plain.next.unwrap().contains("sha256sum"));
    }
    assert_eq!(token::file(None), None);
    let absent = token::file(Some(Path::new("/nonexistent/token"))).unwrap();
    assert_eq!(absent.verdict, Fail);
    assert!(absent.next.unwrap().contains("openssl rand"));
}

#[test]
fn a_certificate_is_judged_by_its_dates_its_issuer_and_its_names() {
    let now = Timestamp(1_800_000_000_000);
    let good = Facts {
        from: Timestamp(now.0 - DAY_MS),
        until: Timestamp(now.0 + 60 * DAY_MS),
        self_signed: false,
        chain: Chain::Whole,
        names: vec!["t.example.com".to_owned(), "*.shop.example".to_owned()],
    };
    let until = |days: i64| Facts {
        until: Timestamp(now.0 + days * DAY_MS),
        ..good.clone()
    };
    let early = Facts {
        from: Timestamp(now.0 + 1),
        ..good.clone()
    };
    let own = Facts {
        self_signed: true,
        ..good.clone()
    };
    let chain = |chain| Facts {
        chain,
        ..good.clone()
    };
    let cases: [(&Facts, Option<&str>, Verdict); 11] = [
        (&good, None, Good),
        (&good, Some("t.example.com"), Good),
        (&good, Some("t.shop.example"), Good),
        (&good, Some("a.t.shop.example"), Fail),
        (&good, Some("example.com"), Fail),
        (&until(13), None, Warn),
        (&until(0), None, Fail),
        (&early, None, Fail),
        (&own, None, Warn),
        (&chain(Chain::Alone), None, Warn),
        (&chain(Chain::Broken { at: 2 }), None, Warn),
    ];
    for (facts, host, expected) in cases {
        let findings = certificate(facts, host, now);
        assert_eq!(worst(&findings), expected, "{findings:?}");
    }
    let all = Facts {
        self_signed: true,
        ..until(1)
    };
    let found = certificate(&all, Some("example.com"), now);
    let found: Vec<_> = found.iter().map(|one| one.found.as_str()).collect();
    for fault in ["in 1 days", "not for example.com", "self-signed"] {
        let told = found.iter().any(|one| one.contains(fault));
        assert!(told, "no fault hides another: {fault} in {found:?}");
    }
}

fn worst(findings: &[Finding]) -> Verdict {
    findings.iter().map(|one| one.verdict).max().unwrap()
}

#[test]
fn certificate_files_are_read_with_their_key() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let clock = SystemClock::default();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["t.example.com".to_owned(), "127.0.0.1".to_owned()]);
    let cert = params.unwrap().self_signed(&key).unwrap();
    std::fs::write(at("cert.pem"), cert.pem()).unwrap();
    std::fs::write(at("key.pem"), key.serialize_pem()).unwrap();
    let other = KeyPair::generate().unwrap();
    std::fs::write(at("other.pem"), other.serialize_pem()).unwrap();
    let target = |url| Some(Target::parse(url).unwrap());
    for (key, host, expected) in [
        ("key.pem", None, Warn),
        ("key.pem", target("https://127.0.0.1"), Warn),
        ("key.pem", target("https://u.example.com"), Fail),
        ("other.pem", None, Fail),
        ("none.pem", None, Fail),
    ] {
        let findings = files(&at("cert.pem"), Some(&at(key)), host.as_ref(), &clock);
        assert_eq!(worst(&findings), expected, "{findings:?}");
    }
    let unread = files(&at("key.pem"), Some(&at("key.pem")), None, &clock);
    assert_eq!(worst(&unread), Fail);
    assert_eq!(unread.len(), 1, "{unread:?}");
}

/// A pair named `name` in `directory`, for `host`, signed by `issuer`; the chain holds `above` too.
fn issued(
    directory: &Path,
    name: &str,
    host: &str,
    issuer: &Issuer<'_, KeyPair>,
    above: &[&str],
) -> CertificateFiles {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([host.to_owned()]).unwrap();
    let cert = params.signed_by(&key, issuer).unwrap();
    let pair = CertificateFiles {
        cert: directory.join(format!("{name}.pem")),
        key: directory.join(format!("{name}.key")),
    };
    let own = cert.pem();
    let chain = std::iter::once(&*own).chain(above.iter().copied());
    std::fs::write(&pair.cert, chain.collect::<String>()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    pair
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = format!("authority of {:?}", key.public_key_raw());
    params.distinguished_name.push(DnType::CommonName, name);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

#[test]
fn the_certificates_of_https_are_looked_at_as_clients_would() {
    let directory = tempfile::tempdir().unwrap();
    let clock = SystemClock::default();
    let (pem, signer) = authority();
    let (other, _) = authority();
    let make = |name, host, above: &[&str]| issued(directory.path(), name, host, &signer, above);
    let mut settings = Settings::default();
    let verdicts = |settings: &Settings, host: Option<&str>| {
        let host = host.map(|host| Target::parse(host).unwrap());
        let findings = listener(settings, host.as_ref(), &clock);
        findings.iter().map(|one| one.verdict).collect::<Vec<_>>()
    };
    settings.edge.tls.pair = Some(make("whole", "t.example.com", &[&pem]));
    assert_eq!(verdicts(&settings, None), [], "https is not served");
    settings.edge.https = Some("127.0.0.1:8443".parse().unwrap());
    assert_eq!(verdicts(&settings, None), [Good]);
    assert_eq!(verdicts(&settings, Some("https://t.example.com")), [Good]);
    let wrong = Some("https://u.example.com");
    assert_eq!(
        verdicts(&settings, wrong),
        [Good, Fail],
        "no pair is for it"
    );
    let second = make("second", "u.example.com", &[]);
    settings.edge.tls.certificates = vec![second];
    assert_eq!(verdicts(&settings, wrong), [Good, Warn], "it stands alone");
    settings.edge.tls.certificates = vec![make("mixed", "u.example.com", &[&other])];
    assert_eq!(verdicts(&settings, wrong), [Good, Warn], "another issuer");
    settings.edge.tls.pair = None;
    settings.edge.tls.certificates.clear();
    assert_eq!(verdicts(&settings, None), [Warn], "self-signed at start");
    settings.data_dir = directory.path().join("data");
    settings.edge.tls.acme.domains = vec!["t.example.com".to_owned()];
    assert_eq!(verdicts(&settings, None), [Unknown], "not obtained yet");
    let files = obtained(&settings.edge.tls.acme, &settings.data_dir).unwrap();
    std::fs::create_dir_all(files.cert.parent().unwrap()).unwrap();
    let pair = make("got", "t.example.com", &[&pem]);
    let read = |path| std::fs::read_to_string(path).unwrap();
    std::fs::write(&files.cert, read(&pair.key) + &read(&pair.cert)).unwrap();
    assert_eq!(verdicts(&settings, Some("https://t.example.com")), [Good]);
}
