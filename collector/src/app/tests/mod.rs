//! The gateway as a whole, started and stopped in this process.

mod api_reference;
mod metrics_reference;
mod liveness;
mod replay;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tidegate_event::record::{Fold, RecordView};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Before, Gateway, Launch, Patience};
use crate::catalog::store::Store;
use crate::document::Document;
use crate::settings::Settings;
use crate::settings::load::Origin;

const CHANGED: &str = r#"
[[source]]
name = "later"
write_key = "later-key"
kind = "web"
"#;

fn settings(data_dir: &std::path::Path) -> Settings {
    let mut settings = Settings {
        data_dir: data_dir.to_owned(),
        ..Settings::default()
    };
    settings.edge.http.set_port(0);
    settings.admin.listen.set_port(0);
    settings
}

fn launch(settings: Settings) -> Launch {
    Launch {
        settings,
        ..Launch::default()
    }
}

/// Status and the rest of an answer of the admin listener.
async fn ask(gateway: &Gateway, path: &str) -> (u16, String) {
    ask_at(gateway.admin(), path).await
}

async fn ask_at(admin: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.get(9..12).unwrap().parse().unwrap();
    (status, answer)
}

/// Generation and digest of every catalog record, as a gateway finds them when it starts.
async fn catalog_records(data_dir: &std::path::Path) -> Vec<(u32, String)> {
    let gateway = Gateway::start(launch(settings(data_dir))).await.unwrap();
    let mut reader = gateway.journal().reader(0).unwrap();
    let mut records = Vec::new();
    while let Some(frame) = reader.next_below(u64::MAX).unwrap() {
        let head = RecordView::read(frame.payload).unwrap().head;
        if let Fold::Catalog(catalog) = &head.fold {
            records.push((head.generation, catalog.digest.to_owned()));
        }
    }
    let patience = Patience::of(&gateway.settings().drain);
    gateway.stop(patience).await;
    records
}

/// Apply commits to the store before it writes the record; the process may end in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_was_applied_without_its_record_gets_it_at_start_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = catalog_records(dir.path()).await;
    assert_eq!(first.len(), 1);
    let second = {
        let store = Store::open(dir.path()).unwrap();
        let document = Document::parse("catalog", CHANGED);
        let now = tidegate_event::Timestamp(1);
        store.apply(&document, None, now).unwrap();
        let current = store.current().unwrap();
        (current.generation, current.digest)
    };
    let both = [first[0].clone(), second];
    assert_eq!(catalog_records(dir.path()).await, both);
    assert_eq!(catalog_records(dir.path()).await, both, "not again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_names_the_mistakes_of_settings_and_catalog_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (config, catalog) = (dir.path().join("t.toml"), dir.path().join("c.toml"));
    let text = "catalog = \"c.toml\"\ndata_dir = \"data\"\n[edge]\nhttp = \"127.0.0.1:0\"\n\
                [admin]\nlisten = \"127.0.0.1:0\"\n[reload]\nwatch_interval = \"0s\"\n";
    std::fs::write(&config, text).unwrap();
    std::fs::write(&catalog, CHANGED).unwrap();
    let origin = Origin {
        config: Some(config.clone()),
        ..Origin::default()
    };
    let gateway = Gateway::start(Launch {
        origin: Some(origin.clone()),
        ..launch(origin.read().unwrap())
    });
    let gateway = gateway.await.unwrap();
    std::fs::write(&config, format!("extra = 1\n{text}")).unwrap();
    std::fs::write(&catalog, "[[source]]\nname = 1\n").unwrap();
    let refused = gateway.reload().await.unwrap_err();
    let files: Vec<_> = refused.faults.iter().map(|fault| &fault.file).collect();
    for file in [&config, &catalog] {
        let told = files.contains(&&file.display().to_string());
        assert!(told, "{file:?}: {files:?}");
    }
    let patience = Patience::of(&gateway.settings().drain);
    gateway.stop(patience).await;
}

/// It took its offer back and still holds its locks, as one that was told to end by a signal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_take_over_waits_for_a_process_that_is_ending_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let ending = Gateway::start(launch(settings(dir.path()))).await.unwrap();
    let refused = Gateway::start(launch(settings(dir.path()))).await;
    assert!(refused.is_err(), "nobody asked the one before to end");
    let taking_over = Launch {
        before: Before::Silent,
        ..launch(settings(dir.path()))
    };
    let mut starting = Box::pin(Gateway::start(taking_over));
    let a_while = tokio::time::timeout(Duration::from_millis(50), &mut starting);
    assert!(a_while.await.is_err(), "it waits");
    let patience = Patience::of(&ending.settings().drain);
    ending.stop(patience).await;
    let gateway = starting.await.unwrap();
    gateway.stop(patience).await;
}

/// What it waits for here is a lock; with a long journal it is the replay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_are_answered_while_the_state_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let ending = Gateway::start(launch(settings(dir.path()))).await.unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    let mut settings = settings(dir.path());
    settings.admin.listen = admin;
    let mut starting = Box::pin(Gateway::start(Launch {
        before: Before::Silent,
        ..launch(settings)
    }));
    let a_while = tokio::time::timeout(Duration::from_millis(50), &mut starting);
    assert!(a_while.await.is_err(), "it waits");
    assert_eq!(ask_at(admin, "/healthz").await.0, 200);
    let (status, answer) = ask_at(admin, "/readyz").await;
    assert_eq!(status, 503);
    assert!(answer.contains("starting: "), "{answer}");
    let patience = Patience::of(&ending.settings().drain);
    ending.stop(patience).await;
    let gateway = starting.await.unwrap();
    assert_eq!(ask(&gateway, "/readyz").await.0, 200);
    gateway.stop(patience).await;
}
