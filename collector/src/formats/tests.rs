//! Every stored format, one after the other: a newer one is refused by name and stays as it is, an
//! earlier one is read. What is in a row of an earlier format is tested beside its type.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use fjall::{Database, KeyspaceCreateOptions};
use tidegate_event::record::RecordView;

use super::*;
use crate::catalog::store::FILE as CATALOG;

/// One store that has a number of its own beside `FORMATS`.
struct Store {
    name: &'static str,
    /// Writes it in this format.
    write: fn(&Path, u32),
    oldest: u32,
    newest: u32,
    /// What the refusal of a newer one says.
    named: &'static str,
}

/// `records` have a version each: see [`records_of_every_version_are_read`].
const STORES: [Store; 7] = [
    Store {
        name: "journal",
        write: write_segment,
        oldest: 1,
        newest: tidegate_journal::SEGMENT_FORMAT,
        named: ".seg",
    },
    Store {
        name: "cursors",
        write: write_cursors,
        oldest: 1,
        newest: tidegate_journal::CURSORS_FORMAT,
        named: "CURSORS",
    },
    Store {
        name: "profiles",
        write: |dir, format| write_number(dir, "meta", format),
        oldest: 1,
        newest: profile::row::FORMAT as u32,
        named: "the stored profiles have format",
    },
    Store {
        name: "outbox",
        write: |dir, format| write_number(dir, "outbox_meta", format),
        oldest: 1,
        newest: tidegate_activation::FORMAT as u32,
        named: "the stored callbacks and dead letters have format",
    },
    Store {
        name: "catalog",
        write: write_catalog,
        oldest: 1,
        newest: catalog::store::FORMAT,
        named: "catalog.sqlite3: schema",
    },
    Store {
        name: bad_rows::DIR,
        write: |dir, format| write_rows(&dir.join(bad_rows::DIR), bad_rows::FILES[0], format),
        oldest: 1,
        newest: bad_rows::FORMAT,
        named: "bad-rows has format",
    },
    Store {
        name: dead_letters::DIR,
        write: |dir, format| {
            write_rows(&dir.join(dead_letters::DIR), dead_letters::FILES[1], format);
        },
        oldest: 1,
        newest: dead_letters::FORMAT,
        named: "kafka-dead-letters has format",
    },
];

fn write_segment(dir: &Path, format: u32) {
    let mut bytes = b"TIDEGATE".to_vec();
    bytes.extend_from_slice(&format.to_le_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.resize(4096, 0);
    fs::create_dir(dir.join("journal")).unwrap();
    fs::write(dir.join("journal/00000000000000000000.seg"), bytes).unwrap();
}

fn write_cursors(dir: &Path, format: u32) {
    let text = format!("tidegate cursors {format}\n");
    let text = if format == 1 {
        text
    } else {
        text + "durable 0\n"
    };
    let text = format!("{text}crc {:08x}\n", crc32fast::hash(text.as_bytes()));
    fs::write(dir.join("CURSORS"), text).unwrap();
}

fn write_number(dir: &Path, keyspace: &str, format: u32) {
    let database = Database::builder(dir.join("state")).open().unwrap();
    let others: &[&str] = match keyspace {
        "meta" => &["profiles", "identity", "due", "dedup"],
        _ => &[
            "outbox_jobs",
            "outbox_due",
            "outbox_attempted",
            "outbox_dead",
        ],
    };
    for name in others {
        let _made = database.keyspace(name, Default::default).unwrap();
    }
    let meta = database
        .keyspace(keyspace, KeyspaceCreateOptions::default)
        .unwrap();
    meta.insert("format", format.to_be_bytes()).unwrap();
    database.persist(fjall::PersistMode::SyncAll).unwrap();
}

fn write_catalog(dir: &Path, format: u32) {
    let connection = rusqlite::Connection::open(dir.join(CATALOG)).unwrap();
    connection
        .execute_batch("CREATE TABLE any (a INTEGER)")
        .unwrap();
    connection
        .pragma_update(None, "user_version", format)
        .unwrap();
}

fn write_rows(dir: &Path, file: &str, format: u32) {
    let row = if format == 1 {
        "{\"at\":\"2026-01-01T00:00:00Z\"}\n".to_owned()
    } else {
        format!("{{\"version\":{format},\"at\":\"2026-01-01T00:00:00Z\"}}\n")
    };
    fs::create_dir(dir).unwrap();
    fs::write(dir.join(file), row).unwrap();
}

/// What a start says before it writes; empty where it goes on.
fn said(dir: &Path) -> String {
    let checked = check(dir).and_then(|()| match dir.join("state").exists() {
        false => Ok(()),
        true => check_database(&Database::builder(dir.join("state")).open().unwrap()),
    });
    checked
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

/// Every file that is not the database's with its bytes.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_name() == "state" {
            continue;
        }
        if entry.path().is_dir() {
            all.extend(contents(&entry.path()));
        } else {
            all.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    all
}

#[test]
fn every_format_is_in_the_table() {
    let mut names: Vec<_> = STORES.iter().map(|store| store.name).collect();
    names.push("records");
    names.sort_unstable();
    let mut known: Vec<_> = known().iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn a_newer_store_is_refused_by_name_and_untouched() {
    for store in STORES {
        let dir = tempfile::tempdir().unwrap();
        (store.write)(dir.path(), store.newest + 1);
        let before = contents(dir.path());
        let said = said(dir.path());
        assert!(said.contains(store.named), "{}: {said}", store.name);
        assert!(said.contains(&(store.newest + 1).to_string()), "{said}");
        assert_eq!(contents(dir.path()), before, "{}", store.name);
    }
}

#[test]
fn a_store_of_every_earlier_format_is_read() {
    for store in STORES {
        for format in store.oldest..=store.newest {
            let dir = tempfile::tempdir().unwrap();
            (store.write)(dir.path(), format);
            assert_eq!(said(dir.path()), "", "{} {format}", store.name);
        }
    }
}

#[test]
fn a_newer_number_in_the_list_is_refused() {
    for (name, newest) in known() {
        let dir = tempfile::tempdir().unwrap();
        let list = |format: u32| format!("tidegate formats 1\n{name} {format}\n");
        fs::write(dir.path().join(FILE), list(newest)).unwrap();
        check(dir.path()).unwrap();
        fs::write(dir.path().join(FILE), list(newest + 1)).unwrap();
        let said = check(dir.path()).unwrap_err().to_string();
        assert!(
            said.contains(&format!("{name} has format {}", newest + 1)),
            "{said}"
        );
    }
}

#[test]
fn records_of_every_version_are_read() {
    let record = tidegate_event::record::Record {
        generation: 1,
        decided_at: tidegate_event::Timestamp(0),
        profile: None,
        anonymous_id: None,
        user_id: None,
        source: "",
        kind: "system",
        event: "erased",
        message_id: "m",
        event_time: tidegate_event::Timestamp(0),
        purposes: tidegate_event::Purposes::ANONYMOUS,
        transitions: Vec::new(),
        fold: tidegate_event::record::Fold::Erased,
    };
    let mut payload = record.write(Vec::new(), |_| ()).unwrap();
    for version in 1..=PAYLOAD_VERSION {
        payload[0] = version;
        assert_eq!(RecordView::read(&payload).unwrap().head, record);
    }
}

#[test]
fn a_catalog_with_a_write_ahead_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(dir.path().join(CATALOG)).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    // The number stands in the log alone.
    let said = said(dir.path());
    assert!(
        said.contains("catalog.sqlite3: it has a write-ahead log"),
        "{said}"
    );
}

#[test]
fn a_directory_is_read_again_by_the_build_that_raised_it() {
    let dir = tempfile::tempdir().unwrap();
    check(dir.path()).unwrap();
    raise(dir.path()).unwrap();
    check(dir.path()).unwrap();
}
