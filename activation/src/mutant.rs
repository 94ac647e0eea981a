//! What a broken build would do differently. Only the simulation switches one on, to show that it
//! finds it.

/// See the module.
#[cfg_attr(
    not(any(test, feature = "simulation")),
    expect(unreachable_pub, dead_code, reason = "only the simulation names them")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The cursor is written ahead of the rows.
    CursorFirst,
    /// A hand-in is not synced: a loss of power takes rows that the journal no longer holds.
    HandInUnsynced,
    /// A failed attempt is not written down.
    RetryForgotten,
    /// A hand-in does not wake the workers.
    HandInUnheard,
    /// A closed outbox without destinations claims to want nothing.
    ClosedWantsNothing,
    /// A row that gave way to a newer one stays in the store.
    ReplacedRowStays,
    /// A key keeps all its rows.
    KeyUnbounded,
    /// Every dead letter is kept, and the oldest goes where there are too many.
    OldestLetterOut,
}
