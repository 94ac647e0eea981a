//! The store's rows: entries by kind, contents by digest, one line of history a generation.

use rusqlite::{Connection, Transaction, params};
use tidegate_event::Timestamp;

use super::change::EntryKind;
use super::entry::CatalogEntry;
use super::store::{Current, Prepared, StoreError};
use super::{Catalog, canonical};

pub(super) fn generation(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row(
        "SELECT coalesce(max(generation), 0) FROM history",
        [],
        |row| row.get(0),
    )
}

pub(super) fn current(connection: &Connection) -> Result<Current, StoreError> {
    let catalog = Catalog {
        sources: enabled(connection)?,
        segments: enabled(connection)?,
        destinations: enabled(connection)?,
        disabled_segments: disabled_segments(connection)?,
    };
    Ok(Current {
        generation: generation(connection)?,
        digest: canonical::digest(&canonical::text(&catalog)),
        catalog,
    })
}

fn enabled<T: CatalogEntry>(connection: &Connection) -> Result<Vec<T>, StoreError> {
    let mut query = connection
        .prepare("SELECT body FROM entry WHERE kind = ?1 AND enabled ORDER BY position")?;
    let mut rows = query.query([T::KIND.as_str()])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(0)?;
        entries.push(serde_json::from_str(&body)?);
    }
    Ok(entries)
}

fn disabled_segments(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let segments = disabled(connection)?.into_iter();
    let segments = segments.filter(|(kind, _)| *kind == EntryKind::Segment);
    let mut names: Vec<_> = segments.map(|(_, name)| name).collect();
    names.sort_unstable();
    Ok(names)
}

pub(super) fn disabled(connection: &Connection) -> Result<Vec<(EntryKind, String)>, StoreError> {
    let mut query = connection.prepare("SELECT kind, name FROM entry WHERE NOT enabled")?;
    let mut rows = query.query([])?;
    let mut names = Vec::new();
    while let Some(row) = rows.next()? {
        let kind: String = row.get(0)?;
        if let Some(kind) = EntryKind::parse(&kind) {
            names.push((kind, row.get(1)?));
        }
    }
    Ok(names)
}

pub(super) fn write(
    transaction: &Transaction<'_>,
    prepared: &Prepared,
    at: Timestamp,
) -> Result<(), StoreError> {
    let declared = &prepared.declared;
    replace(transaction, declared.sources.as_deref())?;
    replace(transaction, declared.segments.as_deref())?;
    replace(transaction, declared.destinations.as_deref())?;
    transaction.execute(
        "INSERT OR REPLACE INTO last_file (id, digest) VALUES (1, ?1)",
        [&prepared.file_digest],
    )?;
    if prepared.configured {
        mark_configured(transaction, &prepared.file_digest)?;
    }
    let applied = &prepared.applied;
    if applied.generation == prepared.based_on {
        return Ok(());
    }
    transaction.execute(
        "INSERT OR IGNORE INTO content (digest, body) VALUES (?1, ?2)",
        params![applied.digest, canonical::text(&prepared.catalog)],
    )?;
    transaction.execute(
        "INSERT INTO history (generation, digest, file_digest, applied_at, changes)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            applied.generation,
            applied.digest,
            prepared.file_digest,
            at.0,
            serde_json::to_string(&applied.changes)?,
        ],
    )?;
    Ok(())
}

pub(super) fn mark_configured(connection: &Connection, digest: &str) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO configured_file (id, digest) VALUES (1, ?1)
         ON CONFLICT (id) DO UPDATE SET digest = excluded.digest WHERE digest <> excluded.digest",
        [digest],
    )?;
    Ok(())
}

/// Disables all of a kind, then writes those declared in their order. Without effect on a kind that
/// is not declared.
fn replace<T: CatalogEntry>(
    transaction: &Transaction<'_>,
    declared: Option<&[T]>,
) -> Result<(), StoreError> {
    let Some(entries) = declared else {
        return Ok(());
    };
    let kind = T::KIND.as_str();
    transaction.execute("UPDATE entry SET enabled = 0 WHERE kind = ?1", [kind])?;
    let mut insert = transaction.prepare(
        "INSERT OR REPLACE INTO entry (kind, name, position, enabled, body)
         VALUES (?1, ?2, ?3, 1, ?4)",
    )?;
    for (position, entry) in (0_i64..).zip(entries) {
        let body = serde_json::to_string(entry)?;
        insert.execute(params![kind, entry.name(), position, body])?;
    }
    Ok(())
}
