//! Journal records whose checksum is right and that do not parse: an error in a build wrote them.
//! One such record must not stop a cursor for ever, so it is set aside whole and passed over.
//!
//! Recovery and every cursor ask here. A record of a newer format is not skipped: the cursor
//! waits at it. Nothing here is read back by the gateway.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde_json::json;
use tidegate_event::record::RecordError;
use tidegate_journal::{Journal, ReadError};

/// The directory of records that were set aside, under the data directory.
pub const DIR: &str = "unreadable-records";
/// Records kept. Further ones are counted and logged: one error makes many alike.
const RECORDS_MAX: usize = 64;
const SUFFIX: &str = "record";

/// Who met the record. Each counts it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Consumer {
    /// The replay at a start.
    Recovery,
    /// The activation cursor.
    Activation,
    /// The Kafka cursor.
    Kafka,
}

impl Consumer {
    const ALL: [Self; 3] = [Self::Recovery, Self::Activation, Self::Kafka];

    const fn name(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::Activation => "activation",
            Self::Kafka => "kafka",
        }
    }
}

/// Why a record is not passed over.
#[derive(Debug, thiserror::Error)]
pub enum Held {
    /// A later release wrote it.
    #[error("the record at offset {offset} is not passed over: {source}")]
    Newer {
        /// Its offset.
        offset: u64,
        /// Its format.
        source: RecordError,
    },
    /// It cannot be read a second time.
    #[error("the record at offset {offset} does not parse and cannot be read again: {source}")]
    Read {
        /// Its offset.
        offset: u64,
        /// Why.
        source: ReadError,
    },
    /// The second read gave other bytes.
    #[error(
        "two reads of the record at offset {offset} gave different bytes: a disk or memory error"
    )]
    Differs {
        /// Its offset.
        offset: u64,
    },
    /// It cannot be set aside.
    #[error("the record at offset {offset} does not parse and cannot be kept in {}: {source}", path.display())]
    NotKept {
        /// Its offset.
        offset: u64,
        /// Where it was to be.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    consumer: &'static str,
}

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub struct Unreadable(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    passed: Family<Label, Counter>,
    /// Offsets below were counted.
    counted: Mutex<BTreeMap<Consumer, u64>>,
}

impl Unreadable {
    /// Keeps records under `data_dir`; the directory is made with the first one.
    pub fn new(data_dir: &Path, registry: &mut Registry) -> Self {
        let passed = Family::<Label, Counter>::default();
        for consumer in Consumer::ALL {
            let consumer = consumer.name();
            drop(passed.get_or_create(&Label { consumer }));
        }
        registry.register(
            "tidegate_unreadable_records",
            "Journal records passed over because they do not parse",
            passed.clone(),
        );
        Self(Arc::new(Inner {
            dir: data_dir.join(DIR),
            passed,
            counted: Mutex::default(),
        }))
    }

    /// Sets the record aside, durably, so that `consumer` may go on behind it.
    ///
    /// # Errors
    /// [`Held`]: the consumer must not pass it.
    pub fn set_aside(
        &self,
        consumer: Consumer,
        journal: &Journal,
        (offset, payload): (u64, &[u8]),
        error: RecordError,
    ) -> Result<(), Held> {
        if matches!(error, RecordError::Newer(_)) {
            let source = error;
            return Err(Held::Newer { offset, source });
        }
        match is_stored(journal, offset, payload) {
            Ok(true) => {}
            Ok(false) => return Err(Held::Differs { offset }),
            Err(source) => return Err(Held::Read { offset, source }),
        }
        let mut counted = self.0.counted.lock();
        let path = self.path(journal.id(), offset);
        let kept = self.keep(&path, journal.id(), (offset, payload), &error);
        let (kept, bytes) = kept.map_err(|source| Held::NotKept {
            offset,
            path: path.clone(),
            source,
        })?;
        journal.charge(DIR, bytes);
        let next = counted.entry(consumer).or_default();
        if offset < *next {
            return Ok(());
        }
        *next = offset + 1;
        let consumer = consumer.name();
        self.0.passed.get_or_create(&Label { consumer }).inc();
        let file = if kept {
            path.display().to_string()
        } else {
            format!("not kept: {RECORDS_MAX} records are already there")
        };
        tracing::error!(
            %error, offset, consumer, file,
            "a journal record does not parse and is passed over: what it held reaches no sink. \
             Report it with the file; the events before and after it are not affected"
        );
        Ok(())
    }

    fn path(&self, journal: &str, offset: u64) -> PathBuf {
        self.0.dir.join(format!("{journal}-{offset}.{SUFFIX}"))
    }

    /// Writes the record unless it is there, or too many are. Whether it is there now, and the bytes
    /// of all.
    fn keep(
        &self,
        path: &Path,
        journal: &str,
        (offset, payload): (u64, &[u8]),
        error: &RecordError,
    ) -> io::Result<(bool, u64)> {
        fs::create_dir_all(&self.0.dir)?;
        let (records, bytes) = kept(&self.0.dir)?;
        if path.exists() || records >= RECORDS_MAX {
            return Ok((path.exists(), bytes));
        }
        let reason = error.to_string();
        let head = json!({"version": 1, "journal": journal, "offset": offset, "reason": reason});
        let next = path.with_extension("next");
        let mut file = File::create(&next)?;
        file.write_all(head.to_string().as_bytes())?;
        file.write_all(b"\n")?;
        file.write_all(payload)?;
        file.sync_all()?;
        let written = file.metadata()?.len();
        fs::rename(&next, path)?;
        File::open(&self.0.dir)?.sync_all()?;
        Ok((true, bytes + written))
    }
}

/// Whether the journal, read once more, gives this payload at this offset.
fn is_stored(journal: &Journal, offset: u64, payload: &[u8]) -> Result<bool, ReadError> {
    let mut reader = journal.reader(offset)?;
    let again = reader.next_below(offset + 1)?;
    Ok(again.is_some_and(|frame| frame.offset == offset && frame.payload == payload))
}

/// How many records are kept in `dir`, and their bytes.
fn kept(dir: &Path) -> io::Result<(usize, u64)> {
    let (mut records, mut bytes) = (0, 0);
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|end| end == SUFFIX) {
            records += 1;
            bytes += entry.metadata()?.len();
        }
    }
    Ok((records, bytes))
}
