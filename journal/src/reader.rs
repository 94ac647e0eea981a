//! Reads records in order, never past the durable watermark, in large chunks.
//!
//! Each read names the offset at which it ends. A caller that takes the watermark once for a round
//! then sees the same journal in all reads of that round, whatever is committed meanwhile.

use std::io::ErrorKind;
use std::sync::Arc;

use tidegate_event::Timestamp;

use crate::core::Core;
use crate::error::{At, Corruption, ReadError};
use crate::frame::Kind;
use crate::log::{Located, segment_path};
use crate::snapshot::Snapshot;
use crate::walk::{Step, Walker};

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its sequence number.
    pub offset: u64,
    /// Its time.
    pub decided_at: Timestamp,
    /// What was filled in.
    pub payload: &'a [u8],
}

/// A sequential reader.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    position: u64,
    open: Option<(Walker, Located)>,
}

#[derive(Debug)]
enum Source {
    Live(Arc<Core>),
    Snapshot(Snapshot),
}

impl Reader {
    pub(crate) fn live(core: Arc<Core>, from: u64) -> Result<Self, ReadError> {
        Self::start(Source::Live(core), from)
    }

    pub(crate) fn snapshot(snapshot: Snapshot, from: u64) -> Result<Self, ReadError> {
        Self::start(Source::Snapshot(snapshot), from)
    }

    fn start(source: Source, from: u64) -> Result<Self, ReadError> {
        let oldest = source.oldest();
        if from < oldest {
            return Err(ReadError::Retired {
                wanted: from,
                oldest,
            });
        }
        Ok(Self {
            source,
            position: from,
            open: None,
        })
    }

    /// The offset after the last one returned or skipped: where the next read begins.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next record below `bound`; `None` where there is none that is durable (call again
    /// later). Void and erased frames are skipped.
    ///
    /// # Errors
    /// [`ReadError::Retired`] when retention overtook the reader, [`ReadError::Corrupt`] for
    /// damage, or those of the storage.
    pub fn next_below(&mut self, bound: u64) -> Result<Option<Frame<'_>>, ReadError> {
        let mut looked = false;
        let (offset, decided_at, payload) = loop {
            if self.position >= bound || self.position >= self.source.durable(self.position)? {
                return Ok(None);
            }
            let Some((walker, located)) = &mut self.open else {
                let opened = self.source.open(self.position)?;
                // After a repair the next segment begins at a later offset.
                self.position = self.position.max(opened.1.base);
                self.open = Some(opened);
                continue;
            };
            let step = match walker.step(self.position) {
                Ok(step) => step,
                Err(error) => Err(error).at("read", &self.source.path(located.base))?,
            };
            match step {
                Step::Mark => {}
                Step::Frame {
                    sequence,
                    decided_at,
                    kind,
                    payload,
                } => {
                    let wanted = sequence >= self.position;
                    self.position = self.position.max(sequence + 1);
                    if wanted && kind == Kind::Record {
                        break (sequence, decided_at, payload);
                    }
                }
                Step::End | Step::Unreadable => {
                    let stuck = std::mem::replace(&mut looked, true);
                    self.go_on(stuck)?;
                    continue;
                }
            }
            looked = false;
            self.leave_at_end();
        };
        let payload = self
            .open
            .as_ref()
            .map_or(&[][..], |(walker, _)| walker.bytes(payload));
        Ok(Some(Frame {
            offset,
            decided_at: Timestamp(decided_at),
            payload,
        }))
    }

    /// After the last frame of a sealed segment the next one is opened.
    fn leave_at_end(&mut self) {
        if let Some((walker, located)) = &self.open
            && located.end.is_some_and(|end| walker.next() >= end)
        {
            self.open = None;
        }
    }

    /// There was nothing to read where a record should be: more may have been written, or the
    /// segment sealed, since it was looked up. When that was just done, it is damage.
    fn go_on(&mut self, stuck: bool) -> Result<(), ReadError> {
        let located = self.source.locate(self.position)?;
        let Some((walker, before)) = &mut self.open else {
            return Ok(());
        };
        if located.base != before.base {
            self.open = None;
        } else if stuck && located.limit == before.limit {
            let path = self.source.path(located.base);
            let (position, offset) = (walker.batch_start(), walker.next());
            // Retention may have taken the file meanwhile and used it again.
            self.source.look_again()?;
            if self.source.locate(self.position)? != located {
                self.open = None;
                return Ok(());
            }
            return Err(Corruption {
                path,
                position,
                offset,
            }
            .into());
        } else {
            walker.extend(located.limit);
            *before = located;
        }
        self.leave_at_end();
        Ok(())
    }
}

impl Source {
    fn oldest(&self) -> u64 {
        match self {
            Self::Live(core) => core.log.lock().oldest(),
            Self::Snapshot(snapshot) => snapshot.oldest(),
        }
    }

    /// The watermark; a snapshot looks at the disk again when `position` has reached it.
    fn durable(&mut self, position: u64) -> Result<u64, ReadError> {
        match self {
            Self::Live(core) => Ok(core.durable()),
            Self::Snapshot(snapshot) => {
                if snapshot.durable() <= position {
                    snapshot.refresh()?;
                }
                Ok(snapshot.durable())
            }
        }
    }

    /// A snapshot learns what retention took since it was made; the live journal knows.
    fn look_again(&mut self) -> Result<(), ReadError> {
        match self {
            Self::Live(_) => Ok(()),
            Self::Snapshot(snapshot) => snapshot.refresh(),
        }
    }

    fn path(&self, base: u64) -> std::path::PathBuf {
        match self {
            Self::Live(core) => segment_path(&core.dir, base),
            Self::Snapshot(snapshot) => snapshot.path(base),
        }
    }

    fn locate(&self, offset: u64) -> Result<Located, ReadError> {
        let located = match self {
            Self::Live(core) => core.log.lock().locate(offset),
            Self::Snapshot(snapshot) => snapshot.locate(offset),
        };
        located.ok_or_else(|| ReadError::Retired {
            wanted: offset,
            oldest: self.oldest(),
        })
    }

    fn open(&mut self, offset: u64) -> Result<(Walker, Located), ReadError> {
        let located = self.locate(offset)?;
        let path = self.path(located.base);
        let opened = match self {
            Self::Live(core) => core.storage.open_read(&path),
            Self::Snapshot(snapshot) => snapshot.open_file(&path),
        };
        let file = match opened {
            // Retired between the look-up and now.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.look_again()?;
                self.locate(offset)?;
                Err(error).at("open", &path)?
            }
            opened => opened.at("open", &path)?,
        };
        Ok((
            Walker::new(file, located.salt, located.base, located.limit),
            located,
        ))
    }
}
