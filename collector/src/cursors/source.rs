//! The journal as one cursor reads it: in rounds, each below a watermark that is taken once. What
//! is committed during a round is the next round's, so that a cursor never hands on a record that
//! its own position does not cover. A record that does not parse is set aside here.

use tidegate_event::record::RecordView;
use tidegate_journal::{Journal, ReadError, Reader};

use crate::unreadable::{Consumer, Held, Unreadable};

/// What a simulation lets the journal do between two reads.
#[cfg(test)]
pub(crate) type Meanwhile = Box<dyn FnMut(&Journal) + Send>;

/// Why a cursor does not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The journal.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// One of its records.
    #[error(transparent)]
    Held(#[from] Held),
}

/// What one read found.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on the stack: a box would be an allocation for each record"
)]
pub(crate) enum Found<'a> {
    /// A record.
    Record(Entry<'a>),
    /// A record that does not parse. It was set aside; read on.
    PassedOver,
    /// The end of the round.
    End,
}

/// One record.
pub(crate) struct Entry<'a> {
    pub(crate) offset: u64,
    pub(crate) view: RecordView<'a>,
    /// The bytes that `view` was parsed from.
    #[cfg_attr(
        not(feature = "kafka"),
        expect(dead_code, reason = "only kafka keeps it")
    )]
    pub(crate) payload: &'a [u8],
}

/// See the module.
pub struct Source {
    journal: Journal,
    unreadable: Unreadable,
    consumer: Consumer,
    reader: Option<Reader>,
    /// Offset of a record that must not be passed: the next read is of it.
    held: Option<u64>,
    /// The round's watermark.
    bound: u64,
    /// Called where the journal may move on in between: after the watermark was taken, and before
    /// each read.
    #[cfg(test)]
    pub(crate) meanwhile: Option<Meanwhile>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Source {
    /// Of this journal; closed.
    pub(crate) fn new(journal: Journal, unreadable: Unreadable, consumer: Consumer) -> Self {
        Self {
            journal,
            unreadable,
            consumer,
            reader: None,
            held: None,
            bound: 0,
            #[cfg(test)]
            meanwhile: None,
        }
    }

    /// The journal.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Begins a round: takes the watermark, at most `limit`, and returns it.
    pub(crate) fn look(&mut self, limit: u64) -> u64 {
        self.bound = self.journal.durable().min(limit);
        self.pass();
        self.bound
    }

    /// Reads from `from` on.
    ///
    /// # Errors
    /// [`ReadError::Retired`]
    pub(crate) fn open(&mut self, from: u64) -> Result<(), ReadError> {
        self.reader = Some(self.journal.reader(from)?);
        self.held = None;
        Ok(())
    }

    /// The next [`Source::open`] decides where it goes on.
    pub(crate) fn close(&mut self) {
        self.reader = None;
        self.held = None;
    }

    /// Whether it was opened.
    pub(crate) fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// The round's next record; the end also while closed.
    ///
    /// # Errors
    /// [`SourceError`]
    pub(crate) fn next(&mut self) -> Result<Found<'_>, SourceError> {
        self.pass();
        if let Some(offset) = self.held {
            self.open(offset)?;
        }
        let Some(reader) = &mut self.reader else {
            return Ok(Found::End);
        };
        let Some(frame) = reader.next_below(self.bound)? else {
            return Ok(Found::End);
        };
        let (offset, payload) = (frame.offset, frame.payload);
        match RecordView::read(payload) {
            Ok(view) => Ok(Found::Record(Entry {
                offset,
                view,
                payload,
            })),
            Err(error) => {
                let record = (offset, payload);
                let by = self.consumer;
                match self.unreadable.set_aside(by, &self.journal, record, error) {
                    Ok(()) => Ok(Found::PassedOver),
                    Err(held) => {
                        self.held = Some(offset);
                        Err(held.into())
                    }
                }
            }
        }
    }

    /// Every record below was read or carried nothing.
    pub(crate) fn position(&self) -> u64 {
        let read = || self.reader.as_ref().map_or(0, Reader::position);
        self.held.unwrap_or_else(read)
    }

    #[cfg(test)]
    fn pass(&mut self) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile(&self.journal);
        }
    }

    #[cfg(not(test))]
    fn pass(&mut self) {}
}
