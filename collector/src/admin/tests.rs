use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::auth::{Denied, Token, admit, read_token};
use super::fake::Fake;
use super::listener::Answer as _;
use super::{Admin, Control, tls};
use crate::liveness::{PartState, PartView, Report, StallView};
use crate::settings::{AdminTls, Settings};

const TOKEN: &str = "0123456789abcdef0123";

struct Desk {
    fake: Arc<Fake>,
    admin: Admin<Arc<Fake>>,
}

impl Desk {
    fn open(token: Option<&str>) -> Self {
        let fake = Fake::new();
        let mut registry = Registry::default();
        registry.register("tidegate_tests", "Tests", Counter::<u64>::default());
        let mut settings = Settings::default().admin;
        settings.body_bytes_max = 4_096;
        let token = token.map(Token::new);
        let admin = Admin::new(Arc::clone(&fake), Arc::new(registry), token, settings);
        Self { fake, admin }
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> (StatusCode, String) {
        let reply = self.admin.answer(request).await;
        let status = reply.status();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> (StatusCode, String) {
        self.send(request(method, path, &[("host", "127.0.0.1:9180")], body))
            .await
    }

    async fn json(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let (status, body) = self.ask(method, path, body).await;
        (status, serde_json::from_str(&body).unwrap())
    }
}

fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap()
}

#[tokio::test]
async fn readiness_is_503_with_reasons_while_nothing_can_be_made_durable() {
    let desk = Desk::open(None);
    assert_eq!(desk.ask(Method::GET, "/readyz", "").await.0, StatusCode::OK);
    desk.fake.ready.store(false, Ordering::Relaxed);
    let (status, body) = desk.json(Method::GET, "/readyz", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["reasons"][0], "the disk budget is reached");
    assert_eq!(
        desk.ask(Method::GET, "/healthz", "").await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_stalled_part_fails_healthz_and_stands_in_the_verbose_readiness() {
    let desk = Desk::open(None);
    let part = PartView {
        part: "timers".to_owned(),
        state: PartState::Stalled,
        since_ms: 40_000,
        bound_ms: 30_000,
    };
    let cursor = StallView {
        cursor: "kafka".to_owned(),
        lag: 7,
        still_ms: 31_000,
        stalled: true,
    };
    *desk.fake.report.lock() = Report {
        parts: vec![part],
        cursors: vec![cursor],
        durable_lag_ms: 3,
        durable_lags: false,
    };
    let (status, body) = desk.json(Method::GET, "/healthz", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body["reasons"][0], "timers is stalled");
    let (status, body) = desk.json(Method::GET, "/readyz?verbose", "").await;
    assert_eq!(status, StatusCode::OK, "hits are still made durable");
    assert_eq!(body["parts"][0]["state"], "stalled");
    assert_eq!(body["parts"][0]["since_ms"], 40_000);
    assert_eq!(body["cursors"][0]["stalled"], true);
    assert_eq!(body["durable_lag_ms"], 3);
    let (_, body) = desk.json(Method::GET, "/readyz", "").await;
    assert!(body.get("parts").is_none(), "{body}");
}

#[tokio::test]
async fn metrics_are_written_as_openmetrics() {
    let desk = Desk::open(None);
    let (status, body) = desk.ask(Method::GET, "/metrics", "").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("tidegate_tests_total 0"), "{body}");
    assert!(body.ends_with("# EOF\n"), "{body}");
}

const CATALOG: &str = "[[segment]]\nname = \"a\"\nwhen = \"event.name == 'a'\"\n";
const WITH_SECRET: &str = "[[destination]]\nname = \"d\"\nkind = \"webhook\"\nsegments = []\nurl = \
                           \"https://x.example\"\nsecret = \
                           \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";

#[tokio::test]
async fn a_catalog_is_applied_and_a_dry_run_only_says_what_it_would_do() {
    let desk = Desk::open(None);
    let (status, body) = desk
        .json(Method::POST, "/admin/v1/catalog?dry_run=1", CATALOG)
        .await;
    assert_eq!(
        (status, &body["generation"]),
        (StatusCode::OK, &Value::from(1))
    );
    assert_eq!(body["changes"][0]["change"], "added");
    let (_, body) = desk.json(Method::GET, "/admin/v1/catalog", "").await;
    assert_eq!(body["generation"], 0, "a dry run changes nothing");
    desk.json(Method::POST, "/admin/v1/catalog", CATALOG).await;
    let (_, body) = desk.json(Method::GET, "/admin/v1/catalog", "").await;
    assert_eq!(body["generation"], 1);
    assert_eq!(body["catalog"]["segments"][0]["name"], "a");
}

#[tokio::test]
async fn a_catalog_with_mistakes_is_400_with_all_of_them() {
    let desk = Desk::open(None);
    let text = "[[segment]]\nname = \"A\"\nwhen = 'x.y'\n[[nope]]\n";
    let (status, body) = desk.json(Method::POST, "/admin/v1/catalog", text).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let faults = body["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 3, "{body}");
    assert_eq!(
        (&faults[0]["line"], &faults[0]["column"]),
        (&Value::from(2), &Value::from(8))
    );
    assert_eq!(faults[0]["key"], "segment[0].name");
}

#[tokio::test]
async fn the_shown_catalog_holds_no_secret() {
    let desk = Desk::open(None);
    assert_eq!(
        desk.ask(Method::POST, "/admin/v1/catalog", WITH_SECRET)
            .await
            .0,
        200
    );
    let (_, body) = desk.ask(Method::GET, "/admin/v1/catalog", "").await;
    assert!(!body.contains("whsec_") && body.contains("***"), "{body}");
}

#[tokio::test]
async fn the_secrets_of_every_kind_are_masked() {
    let desk = Desk::open(None);
    let text = "[[destination]]\nname = \"d\"\nkind = \"stub\"\nsegments = []\n\
                endpoint = \"https://stub.example\"\ntoken = \"a-long-token\"\n";
    let (status, _) = desk.ask(Method::POST, "/admin/v1/catalog", text).await;
    assert_eq!(status, 200);
    let (_, shown) = desk.json(Method::GET, "/admin/v1/catalog", "").await;
    let kind = &shown["catalog"]["destinations"][0]["kind"]["stub"];
    assert_eq!(kind["token"], "***");
    assert_eq!(kind["endpoint"], "https://stub.example");
}

#[tokio::test]
async fn the_shown_catalog_holds_no_server_key() {
    let desk = Desk::open(None);
    let sources = r#"
        [[source]]
        name = "shop"
        kind = "web"
        write_key = "web-key"
        [[source]]
        name = "back"
        kind = "server"
        write_key = "back-end-key"
        "#;
    let (status, _) = desk.ask(Method::POST, "/admin/v1/catalog", sources).await;
    assert_eq!(status, 200);
    let (_, shown) = desk.json(Method::GET, "/admin/v1/catalog", "").await;
    let shown = shown["catalog"]["sources"].as_array().unwrap();
    let keys: Vec<_> = shown.iter().map(|one| &one["write_key"]).collect();
    assert_eq!(keys, ["web-key", "***"]);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn every_list_and_action_answers() {
    let desk = Desk::open(None);
    let cases = [
        (Method::GET, "/admin/v1/stats", "", 200),
        (Method::GET, "/admin/v1/cursors", "", 200),
        (Method::DELETE, "/admin/v1/cursors/kafka", "", 409),
        (Method::DELETE, "/admin/v1/cursors/none", "", 404),
        (Method::DELETE, "/admin/v1/cursors/old%20one", "", 200),
        (Method::GET, "/admin/v1/destinations", "", 200),
        (
            Method::GET,
            "/admin/v1/destinations/ads/dead-letters?limit=3",
            "",
            200,
        ),
        (
            Method::GET,
            "/admin/v1/destinations/none/dead-letters",
            "",
            404,
        ),
        (Method::POST, "/admin/v1/destinations/ads/test", "", 200),
        (Method::POST, "/admin/v1/destinations/ads/enable", "", 200),
        (Method::POST, "/admin/v1/destinations/none/enable", "", 404),
        (Method::POST, "/admin/v1/destinations/ads/replay", "", 200),
        (
            Method::POST,
            "/admin/v1/destinations/ads/replay",
            "{\"ids\":[1]}",
            200,
        ),
        (
            Method::POST,
            "/admin/v1/destinations/ads/replay",
            "[1]",
            400,
        ),
        (Method::GET, "/admin/v1/bad-rows?limit=99999999", "", 200),
        (Method::PUT, "/admin/v1/catalog", "", 405),
        (Method::POST, "/admin/v1/cursors", "", 405),
        (Method::GET, "/admin/v1/destinations/ads/test", "", 405),
        (Method::POST, "/metrics", "", 405),
        (Method::GET, "/admin/v1/nothing", "", 404),
        (Method::GET, "/admin/v1/", "", 404),
        (Method::GET, "/", "", 404),
    ];
    for (method, path, body, expected) in cases {
        let (status, answer) = desk.ask(method.clone(), path, body).await;
        assert_eq!(status.as_u16(), expected, "{method} {path}: {answer}");
        if expected >= 400 {
            let error: Value = serde_json::from_str(&answer).unwrap();
            assert!(
                error["code"].is_string() && error["message"].is_string(),
                "{answer}"
            );
        }
    }
    let asked = desk.fake.asked.lock().clone();
    for expected in [
        "drop old one",
        "dead letters limit=3",
        "replay None",
        "replay Some([1])",
    ] {
        assert!(
            asked.iter().any(|asked| asked == expected),
            "{expected}: {asked:?}"
        );
    }
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_413() {
    let desk = Desk::open(None);
    let (status, _) = desk
        .ask(Method::POST, "/admin/v1/catalog", &"#".repeat(5_000))
        .await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn with_a_token_only_its_bearer_is_answered_but_probes_are_free() {
    let desk = Desk::open(Some(TOKEN));
    let bearer = format!("Bearer {TOKEN}");
    let lower = format!("bearer {TOKEN}");
    let cases: [(&str, Option<&str>, u16); 8] = [
        ("/admin/v1/stats", None, 401),
        (
            "/admin/v1/stats",
            Some("Bearer wrong-token-wrong-token"),
            401,
        ),
        ("/admin/v1/stats", Some(TOKEN), 401),
        ("/admin/v1/stats", Some(&bearer), 200),
        ("/admin/v1/stats", Some(&lower), 200),
        ("/metrics", None, 401),
        ("/healthz", None, 200),
        ("/readyz", None, 200),
    ];
    for (path, authorization, expected) in cases {
        let mut headers = vec![("host", "tidegate.internal:9180")];
        headers.extend(authorization.map(|value| ("authorization", value)));
        let (status, _) = desk.send(request(Method::GET, path, &headers, "")).await;
        assert_eq!(status.as_u16(), expected, "{path} {authorization:?}");
    }
}

#[test]
fn without_a_token_only_loopback_names_and_no_foreign_page_are_admitted() {
    let cases = [
        ("127.0.0.1:9180", None, Ok(())),
        ("localhost:9180", None, Ok(())),
        ("LOCALHOST", None, Ok(())),
        ("[::1]:9180", None, Ok(())),
        ("evil.example:9180", None, Err(Denied::Host)),
        ("127.0.0.1.evil.example", None, Err(Denied::Host)),
        ("", None, Err(Denied::Host)),
        ("127.0.0.1:9180", Some("http://127.0.0.1:9180"), Ok(())),
        (
            "127.0.0.1:9180",
            Some("http://127.0.0.1:8090"),
            Err(Denied::Origin),
        ),
        (
            "127.0.0.1:9180",
            Some("https://evil.example"),
            Err(Denied::Origin),
        ),
        ("127.0.0.1:9180", Some("null"), Err(Denied::Origin)),
        (
            "evil.example",
            Some("http://evil.example"),
            Err(Denied::Host),
        ),
    ];
    for (host, origin, expected) in cases {
        let mut headers = vec![("host", host)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        let request = request(Method::GET, "/", &headers, "");
        let listen = "127.0.0.1".parse().unwrap();
        let admitted = admit(request.headers(), request.uri(), None, listen, false);
        assert_eq!(admitted, expected, "{host} {origin:?}");
    }
}

#[test]
fn a_token_file_is_one_line_that_is_long_enough() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    for (text, good) in [
        ("0123456789abcdef\n", true),
        ("0123456789abcdef", true),
        ("short\n", false),
        ("0123456789abcdef\nsecond\n", false),
        ("", false),
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(read_token(&path).is_ok(), good, "{text:?}");
    }
    let absent = read_token(&directory.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(absent.contains("openssl rand"), "{absent}");
    assert_eq!(format!("{:?}", Token::new("secret")), "Token(***)");
}

#[test]
fn a_token_file_may_keep_only_the_digest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let digest = hex::encode(Sha256::digest(TOKEN.as_bytes()));
    std::fs::write(&path, format!("sha256:{digest}\n")).unwrap();
    let token = Token::load(&path).unwrap();
    let listen = "10.0.0.1".parse().unwrap();
    for (given, expected) in [(TOKEN, Ok(())), (&*digest, Err(Denied::Token))] {
        let bearer = format!("Bearer {given}");
        let request = request(Method::GET, "/", &[("authorization", &bearer)], "");
        let admitted = admit(
            request.headers(),
            request.uri(),
            Some(&token),
            listen,
            false,
        );
        assert_eq!(admitted, expected, "{given}");
    }
    let unsendable = read_token(&path).unwrap_err().to_string();
    assert!(unsendable.contains("--token-file"), "{unsendable}");
    for wrong in [
        "sha256:0123456789abcdef",
        "sha256:",
        &format!("sha256:{digest}00"),
    ] {
        std::fs::write(&path, wrong).unwrap();
        assert!(Token::load(&path).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn no_answer_lets_a_web_page_read_it() {
    let desk = Desk::open(None);
    for (method, path) in [
        (Method::GET, "/healthz"),
        (Method::GET, "/metrics"),
        (Method::GET, "/admin/v1/stats"),
        (Method::OPTIONS, "/admin/v1/catalog"),
    ] {
        let headers = [
            ("host", "127.0.0.1:9180"),
            ("origin", "https://evil.example"),
            ("access-control-request-method", "POST"),
        ];
        let reply = desk
            .admin
            .answer(request(method.clone(), path, &headers, ""))
            .await;
        let shared = |name: &http::HeaderName| name.as_str().starts_with("access-control-");
        assert!(!reply.headers().keys().any(shared), "{method} {path}");
        assert!(
            path == "/healthz" || reply.status() == StatusCode::FORBIDDEN,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn the_listener_serves_and_ends_politely() {
    let desk = Desk::open(None);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let admin = Arc::new(desk.admin);
    let served = tokio::spawn(super::serve(listener, None, admin, async move {
        let _ = stopped.await;
    }));
    let client = crate::cli::client::Client::new(&format!("http://{address}"), None, None).unwrap();
    let stats = tokio::task::spawn_blocking(move || {
        client.ask::<Value>(Method::GET, "/admin/v1/stats", "")
    });
    assert_eq!(stats.await.unwrap().unwrap()["records"], 7);
    stop.send(()).unwrap();
    served.await.unwrap();
}

#[tokio::test]
async fn a_client_that_says_nothing_does_not_hold_up_the_end() {
    use tokio::io::AsyncWriteExt as _;
    let ours = Authority::new();
    let (cert, key) = ours.sign("127.0.0.1");
    let tls = AdminTls {
        cert,
        key,
        client_ca: None,
    };
    for tls in [None, Some(tls::acceptor(&tls).unwrap())] {
        let desk = Desk::open(None);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (admin, connect) = (Arc::new(desk.admin), tokio::net::TcpStream::connect);
        let served = tokio::spawn(super::serve(listener, tls, admin, async move {
            let _ = stopped.await;
        }));
        let _silent = connect(address).await.unwrap();
        let mut slow = connect(address).await.unwrap();
        slow.write_all(b"GET /healthz HT").await.unwrap();
        stop.send(()).unwrap();
        // Far below the five seconds of a request in work.
        let ended = tokio::time::timeout(Duration::from_secs(3), served).await;
        ended.unwrap().unwrap();
    }
}

/// A connection with a small window, so that answers which are not read soon fill it.
async fn never_reading(address: std::net::SocketAddr) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(address).await.unwrap()
}

const MANY_REQUESTS: usize = 2_000;

/// Listens with answers of 64 KiB at `/metrics`.
async fn listen_with_long_answers(
    timeout_ms: u64,
) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let mut registry = Registry::default();
    let help = "x".repeat(65_536);
    registry.register("tidegate_tests", help, Counter::<u64>::default());
    let mut settings = Settings::default().admin;
    settings.timeout_ms = timeout_ms;
    let admin = Admin::new(Fake::new(), Arc::new(registry), None, settings);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let never = std::future::pending();
    let served = tokio::spawn(super::serve(listener, None, Arc::new(admin), never));
    (address, served)
}

#[tokio::test]
async fn probes_are_answered_beside_many_clients_that_never_read() {
    use tokio::io::AsyncWriteExt as _;
    let (address, served) = listen_with_long_answers(30_000).await;
    let request = "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let mut clients = Vec::new();
    for _ in 0..80 {
        let mut client = never_reading(address).await;
        // As much as the other side takes; it may have ended the connection.
        let all = request.repeat(MANY_REQUESTS);
        let _ =
            tokio::time::timeout(Duration::from_millis(20), client.write_all(all.as_bytes())).await;
        clients.push(client);
    }
    for path in ["/healthz", "/readyz"] {
        let answer = probe(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    served.abort();
}

/// The answer to a probe that comes on a connection of its own.
async fn probe(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let asked = async {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), asked).await;
    answer.expect("a probe is answered within seconds")
}

#[tokio::test]
async fn probes_are_answered_beside_many_slow_bodies() {
    use tokio::io::AsyncWriteExt as _;
    let (address, served) = listen_with_long_answers(600_000).await;
    let head = "POST /admin/v1/catalog HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\n";
    let places = Settings::default().admin.connections_max;
    let mut clients = Vec::new();
    for _ in 0..places + 16 {
        let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        clients.push(tokio::spawn(async move {
            // A byte now and then: it goes on, and is no faster for that.
            while client.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }));
    }
    for path in ["/healthz", "/readyz"] {
        let answer = probe(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
    for client in clients {
        client.abort();
    }
    served.abort();
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    use tokio::io::AsyncWriteExt as _;
    let (address, served) = listen_with_long_answers(200).await;
    let mut client = never_reading(address).await;
    let all = "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".repeat(100 * MANY_REQUESTS);
    let sent = client.write_all(all.as_bytes());
    let sent = tokio::time::timeout(Duration::from_secs(20), sent).await;
    assert!(sent.expect("it ends").is_err(), "all was read");
    served.abort();
}

/// Somebody who signs, and files with what they signed.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), own.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer, directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate and its key for this name.
    fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let paths = (
            self.file(&format!("{name}.pem")),
            self.file(&format!("{name}.key")),
        );
        std::fs::write(&paths.0, cert.pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }
}

#[tokio::test]
async fn with_a_client_ca_only_who_shows_its_certificate_is_answered() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (cert, key) = ours.sign("127.0.0.1");
    let mut settings = Settings::default().admin;
    settings.tls = Some(AdminTls {
        cert,
        key,
        client_ca: Some(ours.file("ca.pem")),
    });
    let acceptor = tls::acceptor(settings.tls.as_ref().unwrap()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let admin = Admin::new(Fake::new(), Arc::new(Registry::default()), None, settings);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(super::serve(
        listener,
        Some(acceptor),
        Arc::new(admin),
        async {
            let _ = stopped.await;
        },
    ));
    let (operator, stranger) = (ours.sign("operator"), theirs.sign("operator"));
    let cases = [
        (&ours, Some(&operator), true),
        (&ours, Some(&stranger), false),
        (&ours, None, false),
        // The operator would take somebody else for the gateway.
        (&theirs, Some(&operator), false),
    ];
    for (trusted, own, expected) in cases {
        let own = own.map(|(cert, key)| (cert.as_path(), key.as_path()));
        let tls = Arc::new(tls::client(&trusted.file("ca.pem"), own).unwrap());
        let client = crate::cli::client::Client::new(&url, None, Some(tls)).unwrap();
        let asked = tokio::task::spawn_blocking(move || {
            client.ask::<Value>(Method::GET, "/admin/v1/stats", "")
        });
        assert_eq!(asked.await.unwrap().is_ok(), expected, "{own:?}");
    }
    stop.send(()).unwrap();
    served.await.unwrap();
}

#[test]
fn certificate_files_that_do_not_do_are_named() {
    let ours = Authority::new();
    let ((cert, key), (_, other)) = (ours.sign("127.0.0.1"), ours.sign("other"));
    let good = AdminTls {
        cert,
        key,
        client_ca: None,
    };
    assert!(tls::acceptor(&good).is_ok());
    for wrong in [
        AdminTls {
            key: other,
            ..good.clone()
        },
        AdminTls {
            cert: ours.file("none.pem"),
            ..good.clone()
        },
        AdminTls {
            client_ca: Some(good.key.clone()),
            ..good
        },
    ] {
        let error = tls::acceptor(&wrong).err().unwrap().to_string();
        assert!(error.contains(".pem") || error.contains(".key"), "{error}");
    }
}

#[test]
fn the_fake_is_a_control() {
    fn is_control<C: Control>(_: &C) {}
    is_control(&Fake::new());
}

#[tokio::test]
async fn every_route_of_the_table_is_answered_and_takes_no_other_method() {
    let desk = Desk::open(None);
    for (route, allow) in super::route::ROUTES {
        let path = route.replace("{name}", "ads");
        for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT] {
            let status = desk.ask(method.clone(), &path, "").await.0;
            let taken = allow.split(", ").any(|word| word == method.as_str());
            let refused = status == StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(refused, !taken, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn a_reload_says_what_changed_and_what_waits_or_every_mistake() {
    let desk = Desk::open(None);
    let path = "/admin/v1/reload";
    let (status, body) = desk.json(Method::POST, path, "").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["changed"][0], "edge.body_bytes_max");
    assert_eq!(body["needs_restart"][0], "edge.http");
    assert_eq!(body["parts"]["catalog"], "unchanged");
    desk.fake.ready.store(false, Ordering::Relaxed);
    let (status, body) = desk.json(Method::POST, path, "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let fault = &body["faults"][0];
    assert_eq!(
        (&fault["file"], &fault["line"], &fault["key"]),
        (&"tidegate.toml".into(), &2.into(), &"edge.ack".into())
    );
    assert_eq!(desk.ask(Method::GET, path, "").await.0, 405);
}

#[tokio::test]
async fn outcomes_are_asked_for_by_number_and_message() {
    let desk = Desk::open(None);
    let ask = async |path: &str| desk.json(Method::GET, path, "").await.1;
    assert_eq!(ask("/debug/outcomes").await, Value::Array(Vec::new()));
    ask("/debug/outcomes?last=7&message_id=m%201").await;
    let asked = desk.fake.asked.lock().clone();
    assert_eq!(asked, ["outcomes 100 None", "outcomes 7 Some(\"m 1\")"]);
    let guarded = Desk::open(Some(TOKEN));
    assert_eq!(guarded.ask(Method::GET, "/debug/outcomes", "").await.0, 401);
}

#[tokio::test]
async fn how_many_entries_of_a_list_is_a_number_or_a_mistake() {
    let desk = Desk::open(None);
    for path in [
        "/debug/outcomes?last=x",
        "/debug/outcomes?last=",
        "/debug/outcomes?last=-1",
        "/admin/v1/bad-rows?limit=1.5",
        "/admin/v1/destinations/ads/dead-letters?limit=many",
    ] {
        let (status, body) = desk.json(Method::GET, path, "").await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        let told = body["message"].as_str().unwrap();
        assert!(told.contains("a whole number, at most 10000"), "{told}");
    }
    assert!(desk.fake.asked.lock().is_empty(), "nothing was asked for");
}
