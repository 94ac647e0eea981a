//! Opening a store: what is refused, what is raised, what stays.

use super::*;
use crate::profile::row::FORMAT;

fn open(directory: &tempfile::TempDir) -> (Database, Result<Store, StoreError>) {
    let database = Database::builder(directory.path()).open().unwrap();
    (database.clone(), Store::open(database))
}

#[test]
fn a_store_is_opened_again_by_the_build_that_wrote_it() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (_, store) = open(&directory);
        assert_eq!(store.unwrap().hash_key([7; 16]).unwrap(), [7; 16]);
    }
}

#[test]
fn an_earlier_format_is_raised_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let (database, store) = open(&directory);
    let store = store.unwrap();
    store.meta.insert("format", 1u32.to_be_bytes()).unwrap();
    let raised = Store::open(database).unwrap();
    raised.raise_format().unwrap();
    assert_eq!(format_of(&raised.meta).unwrap(), Some(u32::from(FORMAT)));
}

#[test]
fn what_the_store_holds_is_kept_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory).1.unwrap();
    assert!(store.is_fresh());
    store.raise_format().unwrap();
    assert_eq!(store.holds().unwrap(), None);
    store.note_holds("journal", 7).unwrap();
    drop(store);
    let store = open(&directory).1.unwrap();
    assert!(!store.is_fresh());
    let journal = "journal".to_owned();
    assert_eq!(store.holds().unwrap(), Some(Holds { journal, upto: 7 }));
}

#[test]
fn a_lost_keyspace_is_named() {
    for lost in KEYSPACES.into_iter().chain([META]) {
        let directory = tempfile::tempdir().unwrap();
        let (database, store) = open(&directory);
        store.unwrap().raise_format().unwrap();
        check_format(&database).unwrap();
        let keyspace = database.keyspace(lost, Default::default).unwrap();
        database.delete_keyspace(keyspace).unwrap();
        let error = check_format(&database).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{lost:?} of the profile store")),
            "{error}"
        );
    }
}

#[test]
fn an_unknown_format_is_refused_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let (database, store) = open(&directory);
    let meta = store.unwrap().meta;
    let next = u32::from(FORMAT) + 1;
    meta.insert("format", next.to_be_bytes()).unwrap();
    let newer = check_format(&database).unwrap_err().to_string();
    assert!(newer.contains(&format!("have format {next}")), "{newer}");
    assert!(newer.contains("restore a backup"), "{newer}");
    // Opening it all the same never lowers the number.
    let opened = Store::open(database.clone()).unwrap();
    opened.raise_format().unwrap();
    assert_eq!(format_of(&meta).unwrap(), Some(next));
    // As written before there was a number: only the key of hashes.
    meta.remove("format").unwrap();
    meta.insert("hash_key", [7; 16]).unwrap();
    let older = check_format(&database).unwrap_err();
    assert!(matches!(older, StoreError::Format { found: None }));
}
