//! What the outbox asks of a storage engine: point reads, ordered ranges, atomic batches and a sync.
//! fjall is the real one; the simulation has one in memory that can fail.

mod fjall;

use std::fmt;
use std::ops::Bound;

use ::fjall::Slice;

pub(crate) use self::fjall::{FjallStorage, KEYSPACES};

/// The outbox's keyspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Rows to deliver.
    Jobs,
    /// When the keys of rows are due.
    Due,
    /// The newest attempt of each key.
    Attempted,
    /// Dead letters.
    Dead,
    /// Cursor, format, marks of destinations and rows that could not be read.
    Meta,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Jobs,
        Self::Due,
        Self::Attempted,
        Self::Dead,
        Self::Meta,
    ];
}

/// One change of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Key and value.
    Put(Space, Vec<u8>, Vec<u8>),
    /// A key, there or not.
    Remove(Space, Vec<u8>),
}

/// What a batch survives once it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A kill of the process.
    Buffered,
    /// A loss of power too.
    Synced,
}

/// Key and value.
pub type Entry = Result<(Slice, Slice), ::fjall::Error>;

/// Both ends of a range of keys.
pub type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// A storage engine. After a failed write it refuses all further ones, as fjall does.
pub trait Storage: Send + Sync + fmt::Debug + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// The engine's.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Slice>, ::fjall::Error>;

    /// Entries in order of their keys, as they are when this is called.
    fn range<'a>(
        &'a self,
        space: Space,
        range: KeyRange,
    ) -> Box<dyn DoubleEndedIterator<Item = Entry> + 'a>;

    /// Writes all changes or none.
    ///
    /// # Errors
    /// The engine's.
    fn commit(&self, ops: Vec<Op>, durability: Durability) -> Result<(), ::fjall::Error>;

    /// Syncs all that was written.
    ///
    /// # Errors
    /// The engine's.
    fn persist(&self) -> Result<(), ::fjall::Error>;
}

/// All keys that begin with `prefix`.
pub(crate) fn prefix(prefix: &[u8]) -> KeyRange {
    let end = prefix.iter().rposition(|byte| *byte < 0xff).map(|at| {
        let mut end = prefix[..=at].to_vec();
        end[at] += 1;
        end
    });
    let end = end.map_or(Bound::Unbounded, Bound::Excluded);
    (Bound::Included(prefix.to_vec()), end)
}

/// All keys from `first` on that begin with `within`.
pub(crate) fn from(first: Vec<u8>, within: &[u8]) -> KeyRange {
    (Bound::Included(first), prefix(within).1)
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds as _;

    use super::*;

    #[test]
    fn a_prefix_holds_what_begins_with_it() {
        let holds = |of: &[u8], key: &[u8]| prefix(of).contains(&key.to_vec());
        assert!(holds(b"ab", b"ab") && holds(b"ab", b"ab\xff\xff"));
        assert!(!holds(b"ab", b"ac") && !holds(b"ab", b"aa\xff"));
        assert!(holds(b"a\xff", b"a\xff\xff") && !holds(b"a\xff", b"b"));
        assert!(holds(b"\xff", b"\xff\xff") && holds(b"", b"anything"));
    }
}
