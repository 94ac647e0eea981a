//! The catalog's store, an SQLite file in the data directory: the truth about what is collected,
//! decided and fired. A file is applied to it; what left the file is disabled, not deleted.
//!
//! Committing here and writing the journal's catalog record are two steps. The store keeps which
//! generation was recorded in which journal, so that a kill between the two is made good at start.
//!
//! Secrets stand in it as given, so the file is readable by its owner only. Compiling rules and
//! telling the running gateway are the caller's: it prepares, makes ready, then commits.

use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};
use tidegate_event::Timestamp;

use super::change::{Applied, merge};
use super::file::{Context, Declared, read};
use super::rows::{current, disabled, generation, mark_configured, write};
use super::{Catalog, canonical};
use crate::document::{Document, Faults};
use crate::settings::Cidr;

/// Its name in the data directory.
pub const FILE: &str = "catalog.sqlite3";

/// The newest form of the store, and the one that is written. Earlier ones are migrated when it is
/// opened.
pub const FORMAT: u32 = 2;
const SCHEMA_VERSION: i64 = FORMAT as i64;
/// How the file begins.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where in the file SQLite keeps the number that we raise with the schema.
const USER_VERSION_AT: usize = 60;
/// Where it says whether the newest pages, that number too, may stand in a write-ahead log. No release
/// has used one.
const WRITE_AHEAD_AT: [usize; 2] = [18, 19];

const SCHEMA: &str = "
CREATE TABLE entry (kind TEXT NOT NULL, name TEXT NOT NULL, position INTEGER NOT NULL,
    enabled INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, name)) STRICT;
CREATE TABLE content (digest TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;
CREATE TABLE history (generation INTEGER PRIMARY KEY, digest TEXT NOT NULL,
    file_digest TEXT NOT NULL, applied_at INTEGER NOT NULL, changes TEXT NOT NULL) STRICT;
CREATE TABLE last_file (id INTEGER PRIMARY KEY CHECK (id = 1), digest TEXT NOT NULL) STRICT;
";

/// What version 2 added.
const RECORDED: &str = "
CREATE TABLE recorded (id INTEGER PRIMARY KEY CHECK (id = 1), journal TEXT NOT NULL,
    generation INTEGER NOT NULL) STRICT;
";

/// The configured file as it was last taken. Not a version of its own: an earlier build passes over
/// it, and where it is missing the last file that was applied stands for it.
const CONFIGURED: &str = "
CREATE TABLE IF NOT EXISTS configured_file (id INTEGER PRIMARY KEY CHECK (id = 1),
    digest TEXT NOT NULL) STRICT;
";

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be made or its mode set.
    #[error("catalog store: {0}; check the data directory's permissions")]
    File(#[from] std::io::Error),
    /// SQLite refused.
    #[error("catalog store: {}{}", .0, remedy(.0))]
    Sqlite(#[from] rusqlite::Error),
    /// A row does not parse.
    #[error(
        "catalog store: a row is malformed ({0}); restore {FILE} from a backup, or move it away and apply the catalog again"
    )]
    Malformed(#[from] serde_json::Error),
    /// Written by a newer build.
    #[error(
        "{FILE}: schema {0} is newer than this build reads ({SCHEMA_VERSION}); nothing was changed. Run the tidegate that wrote it, or a later one, or restore the backup made before the upgrade"
    )]
    Newer(i64),
    /// In a mode that no release has used.
    #[error(
        "{FILE}: it has a write-ahead log, which this build does not read; nothing was changed. Run the tidegate that wrote it, or a later one; where another program changed it, run `sqlite3 {FILE} 'PRAGMA journal_mode=DELETE'`"
    )]
    WriteAhead,
    /// More generations than records can carry.
    #[error("catalog store: no generation is left")]
    Exhausted,
}

/// What to do about a damaged file.
fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "; restore catalog.sqlite3 from a backup, or move it away: the next start makes it anew \
             of the configured catalog file"
        }
        _ => "",
    }
}

/// A catalog was not applied; the old one stays.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It has mistakes.
    #[error("{0}")]
    Faults(Faults),
    /// Another catalog was applied in between.
    #[error("another catalog was applied in the meantime; apply again")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks that this build reads the store of `data_dir`, by the head of its file: opening it would
/// write where a transaction was cut.
///
/// # Errors
/// [`StoreError::Newer`], [`StoreError::File`]
pub fn check_format(data_dir: &Path) -> Result<(), StoreError> {
    let mut file = match std::fs::File::open(data_dir.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut head = [0; USER_VERSION_AT + 4];
    // A file that was just made is empty.
    if file.read_exact(&mut head).is_err() {
        return Ok(());
    }
    // Damage is named when it is opened.
    if !head.starts_with(MAGIC) {
        return Ok(());
    }
    if WRITE_AHEAD_AT.iter().any(|at| head[*at] > 1) {
        return Err(StoreError::WriteAhead);
    }
    let [.., a, b, c, d] = head;
    match i64::from(u32::from_be_bytes([a, b, c, d])) {
        version if version > SCHEMA_VERSION => Err(StoreError::Newer(version)),
        _ => Ok(()),
    }
}

/// The catalog in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// 0 before the first apply.
    pub generation: u32,
    /// Of its canonical text.
    pub digest: String,
    /// What is enabled.
    pub catalog: Catalog,
}

/// A checked catalog that [`Store::commit`] would put in force.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What it would change, and the generation it would have.
    pub applied: Applied,
    /// What would be enabled.
    pub catalog: Catalog,
    pub(super) declared: Declared,
    pub(super) file_digest: String,
    pub(super) based_on: u32,
    pub(super) configured: bool,
}

impl Prepared {
    /// Says that its text is that of the configured file.
    #[must_use]
    pub fn of_configured_file(self) -> Self {
        Self {
            configured: true,
            ..self
        }
    }
}

/// How the configured file stands to the catalog in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfiguredFile {
    /// It is what was applied last.
    InForce,
    /// It has not changed since it was taken, and another catalog was applied after it: that stays.
    Overridden,
    /// It was never taken, or was edited since.
    Changed,
}

/// One line of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// What was applied.
    pub applied: Applied,
    /// When.
    pub applied_at: Timestamp,
}

/// The open store.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens or makes the store of `data_dir`.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(data_dir)?;
        let path = data_dir.join(FILE);
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(&path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        let mut connection = Connection::open(&path)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > SCHEMA_VERSION {
            return Err(StoreError::Newer(version));
        }
        if version < SCHEMA_VERSION {
            let transaction = connection.transaction()?;
            if version == 0 {
                transaction.execute_batch(SCHEMA)?;
            }
            transaction.execute_batch(RECORDED)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
            transaction.commit()?;
        }
        connection.execute_batch(CONFIGURED)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Opens the store of `data_dir` as it is, for reading only: its format may be an earlier one.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn open_to_read(data_dir: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(data_dir.join(FILE), flags)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// The catalog in force.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn current(&self) -> Result<Current, StoreError> {
        current(&self.connection.lock())
    }

    /// Whether the configured file, with this text, is to be applied. An apply of another catalog
    /// does not make it new: only an edit of the file itself does.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn configured_file(&self, text: &str) -> Result<ConfiguredFile, StoreError> {
        let connection = self.connection.lock();
        let digest = canonical::digest(text);
        let is = |query: &str| -> Result<bool, StoreError> {
            let kept: Option<String> = connection
                .query_row(query, [], |row| row.get(0))
                .optional()?;
            Ok(kept.is_some_and(|kept| kept == digest))
        };
        if is("SELECT digest FROM last_file")? {
            return Ok(ConfiguredFile::InForce);
        }
        // Where it is opened to read only, the table may not be there yet.
        let query = "SELECT 1 FROM sqlite_master WHERE name = 'configured_file'";
        let has_table = connection.query_row(query, [], |_| Ok(())).optional()?;
        Ok(
            if has_table.is_some() && is("SELECT digest FROM configured_file")? {
                ConfiguredFile::Overridden
            } else {
                ConfiguredFile::Changed
            },
        )
    }

    /// Remembers this text as that of the configured file, where it is in force already.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn mark_configured(&self, text: &str) -> Result<(), StoreError> {
        mark_configured(&self.connection.lock(), &canonical::digest(text))
    }

    /// Checks a file and says what it would change; changes nothing (the dry run).
    ///
    /// # Errors
    /// [`ApplyError`]
    pub fn prepare(
        &self,
        document: &Document,
        allow_private: Option<&[Cidr]>,
    ) -> Result<Prepared, ApplyError> {
        let connection = self.connection.lock();
        let current = current(&connection)?;
        let context = Context {
            current: Some(&current.catalog),
            allow_private,
        };
        let declared = read(document, context).map_err(ApplyError::Faults)?;
        let disabled = disabled(&connection)?;
        let (catalog, changes) = merge(&current.catalog, &declared, &disabled);
        let digest = canonical::digest(&canonical::text(&catalog));
        let same = digest == current.digest && current.generation > 0;
        let next = current.generation.checked_add(1);
        let generation = if same { Some(current.generation) } else { next };
        Ok(Prepared {
            applied: Applied {
                generation: generation.ok_or(StoreError::Exhausted)?,
                digest,
                changes,
            },
            catalog,
            declared,
            file_digest: canonical::digest(document.text()),
            based_on: current.generation,
            configured: false,
        })
    }

    /// Puts a prepared catalog in force, durably.
    ///
    /// # Errors
    /// [`ApplyError::Conflict`] where another one came first, [`ApplyError::Store`]
    pub fn commit(&self, prepared: &Prepared, at: Timestamp) -> Result<(), ApplyError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction().map_err(StoreError::from)?;
        if generation(&transaction).map_err(StoreError::from)? != prepared.based_on {
            return Err(ApplyError::Conflict);
        }
        write(&transaction, prepared, at)?;
        Ok(transaction.commit().map_err(StoreError::from)?)
    }

    /// [`Store::prepare`] and [`Store::commit`] in one.
    ///
    /// # Errors
    /// [`ApplyError`]
    pub fn apply(
        &self,
        document: &Document,
        allow_private: Option<&[Cidr]>,
        at: Timestamp,
    ) -> Result<Applied, ApplyError> {
        let prepared = self.prepare(document, allow_private)?;
        self.commit(&prepared, at)?;
        Ok(prepared.applied)
    }

    /// True where this journal is known to hold the record of this generation.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn is_recorded(&self, journal: &str, generation: u32) -> Result<bool, StoreError> {
        let connection = self.connection.lock();
        let recorded: Option<(String, u32)> = connection
            .query_row("SELECT journal, generation FROM recorded", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        Ok(recorded.is_some_and(|(id, newest)| id == journal && newest == generation))
    }

    /// Remembers that this journal durably holds the record of this generation. A kill before this
    /// has the record written a second time, which changes nothing.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn mark_recorded(&self, journal: &str, generation: u32) -> Result<(), StoreError> {
        self.connection.lock().execute(
            "INSERT OR REPLACE INTO recorded (id, journal, generation) VALUES (1, ?1, ?2)",
            rusqlite::params![journal, generation],
        )?;
        Ok(())
    }

    /// The catalog with this digest, where it is still kept.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn content(&self, digest: &str) -> Result<Option<Catalog>, StoreError> {
        let connection = self.connection.lock();
        let body: Option<String> = connection
            .query_row(
                "SELECT body FROM content WHERE digest = ?1",
                [digest],
                |row| row.get(0),
            )
            .optional()?;
        Ok(body.map(|body| serde_json::from_str(&body)).transpose()?)
    }

    /// The newest applies, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn history(&self, limit: u32) -> Result<Vec<Past>, StoreError> {
        let connection = self.connection.lock();
        let mut query = connection.prepare(
            "SELECT generation, digest, changes, applied_at FROM history
             ORDER BY generation DESC LIMIT ?1",
        )?;
        let mut rows = query.query([limit])?;
        let mut past = Vec::new();
        while let Some(row) = rows.next()? {
            let changes: String = row.get(2)?;
            past.push(Past {
                applied: Applied {
                    generation: row.get(0)?,
                    digest: row.get(1)?,
                    changes: serde_json::from_str(&changes)?,
                },
                applied_at: Timestamp(row.get(3)?),
            });
        }
        Ok(past)
    }

    /// Forgets contents that only generations before `oldest` had: the checkpoint is past them.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn forget_contents_before(&self, oldest: u32) -> Result<(), StoreError> {
        self.connection.lock().execute(
            "DELETE FROM content WHERE digest NOT IN (SELECT digest FROM history
             WHERE generation >= ?1 OR generation = (SELECT max(generation) FROM history))",
            [oldest],
        )?;
        Ok(())
    }
}
