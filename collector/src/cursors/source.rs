//! The journal as one cursor reads it: in rounds, each below a watermark that is taken once. What
//! is committed during a round is the next round's, so that a cursor never hands on a record that
//! its own position does not cover.

use tidegate_journal::{Frame, Journal, ReadError, Reader};

/// What a simulation lets the journal do between two reads.
#[cfg(test)]
pub(crate) type Meanwhile = Box<dyn FnMut(&Journal) + Send>;

/// See the module.
pub(crate) struct Source {
    journal: Journal,
    reader: Option<Reader>,
    /// The round's watermark.
    bound: u64,
    /// Called where the journal may move on in between: after the watermark was taken, and before
    /// each read.
    #[cfg(test)]
    pub(crate) meanwhile: Option<Meanwhile>,
}

impl Source {
    /// Of this journal; closed.
    pub(crate) fn new(journal: Journal) -> Self {
        Self {
            journal,
            reader: None,
            bound: 0,
            #[cfg(test)]
            meanwhile: None,
        }
    }

    /// The journal.
    #[cfg(feature = "kafka")]
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
        Ok(())
    }

    /// The next [`Source::open`] decides where it goes on.
    pub(crate) fn close(&mut self) {
        self.reader = None;
    }

    /// Whether it was opened.
    pub(crate) fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// The round's next record; None at its end, and while closed.
    ///
    /// # Errors
    /// [`ReadError`]
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, ReadError> {
        self.pass();
        match &mut self.reader {
            Some(reader) => reader.next_below(self.bound),
            None => Ok(None),
        }
    }

    /// Every record below was read or carried nothing.
    pub(crate) fn position(&self) -> u64 {
        self.reader.as_ref().map_or(0, Reader::position)
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
