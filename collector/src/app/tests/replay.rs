//! Probes while the journal is replayed: each test holds the replay at a report of its progress.

use std::fs::remove_file;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::Path;

use tidegate_journal::{RealStorage, drop_saved_cursor};
use tokio::sync::Mutex;

use super::{ask, ask_at, launch, settings};
use crate::app::hand_over::send_admin;
use crate::app::{Before, Gateway, Launch, Patience, Predecessor};
use crate::core::Progress;
use crate::core::checkpoint::CURSOR;
use crate::liveness::spawn;

/// A data directory whose next start replays the journal from its first record on.
async fn to_be_replayed(data_dir: &Path) {
    let gateway = Gateway::start(launch(settings(data_dir))).await.unwrap();
    stop(gateway).await;
    drop_saved_cursor(data_dir, &RealStorage, CURSOR).unwrap();
}

async fn stop(gateway: Gateway) {
    let patience = Patience::of(&gateway.settings().drain);
    gateway.stop(patience).await;
}

async fn ask_until_replaying(admin: SocketAddr) {
    loop {
        let (status, answer) = ask_at(admin, "/readyz").await;
        assert_eq!(status, 503);
        if answer.contains("journal records replayed") {
            return;
        }
        assert!(answer.contains("is being opened"), "{answer}");
    }
}

/// One worker thread: a replay on it would answer nothing.
#[tokio::test]
async fn a_replay_answers_probes_with_its_progress() {
    static HELD: Mutex<()> = Mutex::const_new(());
    let dir = tempfile::tempdir().unwrap();
    to_be_replayed(dir.path()).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    let mut settings = settings(dir.path());
    settings.admin.listen = admin;
    let held = HELD.lock().await;
    let starting = spawn::short(Gateway::start(Launch {
        replaying: Some(|_: Progress| drop(HELD.blocking_lock())),
        ..launch(settings)
    }));
    // Its listener is open after one turn of the start, before anything blocks.
    tokio::task::yield_now().await;
    ask_until_replaying(admin).await;
    assert_eq!(ask_at(admin, "/healthz").await.0, 200);
    drop(held);
    let gateway = starting.await.unwrap().unwrap();
    assert_eq!(ask(&gateway, "/readyz").await.0, 200);
    stop(gateway).await;
}

/// The process before dies with its checkpoint behind, and leaves its sockets.
#[tokio::test]
async fn a_replay_after_a_take_over_answers_probes() {
    static HELD: Mutex<()> = Mutex::const_new(());
    let dir = tempfile::tempdir().unwrap();
    to_be_replayed(dir.path()).await;
    let socket = dir.path().join("hand-over.sock");
    let _ = remove_file(&socket);
    let offer = UnixListener::bind(socket).unwrap();
    let dying = tokio::task::spawn_blocking(move || send_admin(&offer.accept().unwrap().0));
    let (predecessor, inherited) = Predecessor::ask(dir.path()).unwrap().unwrap();
    let admin = dying.await.unwrap();
    let mut settings = settings(dir.path());
    settings.admin.listen = admin;
    let held = HELD.lock().await;
    let starting = spawn::short(Gateway::start(Launch {
        before: Before::Runs(predecessor),
        inherited,
        replaying: Some(|_: Progress| drop(HELD.blocking_lock())),
        ..launch(settings)
    }));
    ask_until_replaying(admin).await;
    drop(held);
    let gateway = starting.await.unwrap().unwrap();
    assert_eq!(gateway.admin(), admin);
    assert_eq!(ask(&gateway, "/readyz").await.0, 200);
    stop(gateway).await;
}
