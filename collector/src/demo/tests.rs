use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use tidegate_event::Timestamp;
use tidegate_journal::{Journal, OpenError, RealStorage};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::run::{DemoError, Gateway, run};
use super::stage::{Options, Stage};
use crate::clock::Clock;
use crate::settings::Settings;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const BODY: &str = r#"{"profile_id":"p","segment":"buyers","change":"enter","epoch":1,"occurred_at":"2027-01-15T07:59:59.993Z"}"#;

#[derive(Clone, Copy, Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        NOW
    }
    fn monotonic_us(&self) -> u64 {
        0
    }
}

fn free_ports() -> Options {
    Options {
        shop_port: 0,
        ad_server_port: 0,
        gateway_port: 0,
        admin_port: 0,
        data_dir: None,
    }
}

/// Sends one request and reads the whole answer.
async fn ask(addr: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let length = body.len();
    let request = format!(
        "{head}\r\nhost: {addr}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn signed(secret: &str, body: &str) -> String {
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let sent = NOW.0 / 1000;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("msg_1.{sent}.{body}").as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    format!(
        "POST /audience HTTP/1.1\r\nwebhook-id: msg_1\r\nwebhook-timestamp: {sent}\r\nwebhook-signature: v1,{signature}"
    )
}

fn hears_of(stage: &Stage) -> (SocketAddr, String) {
    let kind = &stage.catalog().destinations[0].kind;
    let addr = kind
        .text("url")
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/audience")
        .unwrap();
    (
        addr.parse().unwrap(),
        kind.secrets("secret")[0].expose().to_owned(),
    )
}

#[tokio::test]
async fn the_ad_server_takes_a_good_signature_and_refuses_a_bad_one() {
    let stage = Stage::set(&free_ports()).await.unwrap();
    let (ads, secret) = hears_of(&stage);
    let feed = stage.feed();
    let playing = tokio::spawn(stage.play("127.0.0.1:1".parse().unwrap(), Fixed));

    let good = ask(ads, &signed(&secret, BODY), BODY).await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    let forged = BODY.replace("buyers", "nobody");
    let bad = ask(ads, &signed(&secret, BODY), &forged).await;
    assert!(bad.starts_with("HTTP/1.1 401"), "{bad}");
    let unreadable = ask(ads, &signed(&secret, "{"), "{").await;
    assert!(unreadable.starts_with("HTTP/1.1 400"), "{unreadable}");
    let large = ask(ads, "POST /audience HTTP/1.1", &"x".repeat(70_000)).await;
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");

    let (messages, _) = feed.after(0);
    let text: Vec<_> = messages
        .iter()
        .map(|m| String::from_utf8_lossy(m))
        .collect();
    assert_eq!(text.len(), 2, "{text:?}");
    assert!(text[0].contains(r#""verified":true,"ms":7"#), "{}", text[0]);
    assert!(text[1].contains(r#""verified":false"#), "{}", text[1]);
    playing.abort();
}

#[tokio::test]
async fn the_live_page_streams_what_was_and_what_comes() {
    let stage = Stage::set(&free_ports()).await.unwrap();
    let (shop, feed) = (stage.shop_addr(), stage.feed());
    let playing = tokio::spawn(stage.play("127.0.0.1:1".parse().unwrap(), Fixed));
    feed.record(br#"{"offset":1}"#, NOW);

    let mut stream = TcpStream::connect(shop).await.unwrap();
    let request = "GET /live/stream HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = async || loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("the stream goes on");
        if let Some(data) = line.strip_prefix("data: ") {
            return data.to_owned();
        }
    };
    assert!(next().await.contains(r#""record":{"offset":1}"#));
    feed.record(br#"{"offset":2}"#, NOW);
    assert!(next().await.contains(r#""record":{"offset":2}"#));
    playing.abort();
}

#[tokio::test]
async fn the_shop_shows_its_pages_and_takes_nothing() {
    let stage = Stage::set(&free_ports()).await.unwrap();
    let shop = stage.shop_addr();
    let playing = tokio::spawn(stage.play("127.0.0.1:4242".parse().unwrap(), Fixed));
    let home = ask(shop, "GET / HTTP/1.1", "").await;
    assert!(home.contains("http://127.0.0.1:4242/tag.js"), "{home}");
    for (head, status) in [
        ("GET /live HTTP/1.1", "200"),
        ("GET /product/kettle?utm_source=x HTTP/1.1", "200"),
        ("GET /../Cargo.toml HTTP/1.1", "404"),
        ("POST / HTTP/1.1", "405"),
    ] {
        let answer = ask(shop, head, "").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{head}: {answer}"
        );
    }
    playing.abort();
}

#[tokio::test]
async fn a_taken_port_is_refused_by_name_with_what_to_do() {
    let first = Stage::set(&free_ports()).await.unwrap();
    let again = Options {
        shop_port: first.shop_addr().port(),
        ..free_ports()
    };
    let error = Stage::set(&again).await.unwrap_err().to_string();
    assert!(error.contains("--shop-port"), "{error}");
}

#[tokio::test]
async fn the_demos_own_directory_goes_with_it_and_a_named_one_stays() {
    let stage = Stage::set(&free_ports()).await.unwrap();
    let own = stage.settings().data_dir;
    assert!(own.is_dir());
    drop(stage);
    assert!(!own.exists());

    let named = tempfile::tempdir().unwrap();
    let options = Options {
        data_dir: Some(named.path().to_owned()),
        ..free_ports()
    };
    let stage = Stage::set(&options).await.unwrap();
    assert_eq!(stage.settings().data_dir, named.path());
    drop(stage);
    assert!(named.path().is_dir());
}

/// A gateway that has a journal and nothing else.
struct Hollow {
    journal: Journal,
    stopped: Arc<AtomicBool>,
}

impl Gateway for Hollow {
    fn http(&self) -> SocketAddr {
        "127.0.0.1:4242".parse().unwrap()
    }
    fn admin(&self) -> SocketAddr {
        "127.0.0.1:4243".parse().unwrap()
    }
    fn journal(&self) -> &Journal {
        &self.journal
    }
    async fn stop(self) {
        self.journal.shutdown();
        self.stopped.store(true, Ordering::SeqCst);
    }
}

fn hollow(settings: &Settings, stopped: &Arc<AtomicBool>) -> Result<Hollow, OpenError> {
    let journal = tidegate_journal::Settings {
        segment_bytes: 4 << 20,
        ..tidegate_journal::Settings::default()
    };
    Ok(Hollow {
        journal: Journal::open(&settings.data_dir, Arc::new(RealStorage), journal)?,
        stopped: Arc::clone(stopped),
    })
}

#[tokio::test]
async fn the_demo_says_where_it_is_and_stops_the_gateway_before_its_directory_goes() {
    let stopped = Arc::new(AtomicBool::new(false));
    let (mut said, mut directory) = (String::new(), None);
    let start = async |settings: Settings, _| {
        directory = Some(settings.data_dir.clone());
        hollow(&settings, &stopped)
    };
    let say = |text: &str| {
        said.push_str(text);
        Ok(())
    };
    run(&free_ports(), Fixed, start, say, async {})
        .await
        .unwrap();
    assert!(
        said.contains("/live") && said.contains("http://127.0.0.1:4242"),
        "{said}"
    );
    assert!(stopped.load(Ordering::SeqCst));
    assert!(!directory.unwrap().exists());
}

#[tokio::test]
async fn a_gateway_that_ends_by_itself_ends_the_demo_with_an_error() {
    let stopped = Arc::new(AtomicBool::new(false));
    let start = async |settings: Settings, _| {
        let gateway = hollow(&settings, &stopped)?;
        gateway.journal.shutdown();
        Ok::<_, OpenError>(gateway)
    };
    let never = std::future::pending();
    let ended = run(&free_ports(), Fixed, start, |_| Ok(()), never).await;
    assert!(matches!(ended, Err(DemoError::Ended)), "{ended:?}");
}
