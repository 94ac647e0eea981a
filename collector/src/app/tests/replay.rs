//! Probes while the journal is replayed: each test holds the replay at a report of its progress.

use std::fs::remove_file;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use tidegate_event::Timestamp;
use tidegate_journal::{RealStorage, Storage, drop_saved_cursor, repair};
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

/// The header of the first of two segments is damaged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_after_a_repair_of_the_first_segment_names_the_way_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    settings.journal.segment_bytes = 4 << 20;
    let gateway = Gateway::start(launch(settings.clone())).await.unwrap();
    let journal = gateway.journal().clone();
    for _ in 0..5 {
        let payload = vec![0; 1_000_000];
        let room = journal.reserve_wait(payload.len(), 1).await;
        let mut room = room.unwrap();
        let ticket = room.ticket(Timestamp(1));
        let offset = ticket.offset();
        ticket.fill(payload);
        journal.wait_durable(offset).await.unwrap();
    }
    drop(journal);
    stop(gateway).await;
    let segment = dir.path().join("journal").join(format!("{:020}.seg", 0));
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[12] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(RealStorage);
    let bounds = tidegate_journal::Settings {
        segment_bytes: settings.journal.segment_bytes,
        ..tidegate_journal::Settings::default()
    };
    let repaired = repair(dir.path(), &storage, &bounds).unwrap();
    assert!(repaired.cut.is_some());
    let refused = Gateway::start(launch(settings.clone())).await;
    let refused = refused.unwrap_err().to_string();
    let way_on = "tidegate journal cursors drop checkpoint --force";
    assert!(refused.contains(way_on), "{refused}");
    drop_saved_cursor(dir.path(), &RealStorage, CURSOR).unwrap();
    let gateway = Gateway::start(launch(settings)).await.unwrap();
    assert_eq!(ask(&gateway, "/readyz").await.0, 200);
    stop(gateway).await;
}
