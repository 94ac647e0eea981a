//! The age of the oldest record that is not durable: a disk that hangs answers nothing, and no error
//! tells of it. Pure; time is passed in.

/// How far the journal was at the last looks.
#[derive(Debug, Default)]
pub(super) struct DurableLag {
    /// An offset that was taken and not durable, and when it was first seen so.
    waits: Option<(u64, u64)>,
}

impl DurableLag {
    /// For how long a record has waited to become durable, milliseconds; 0 where none does. It is
    /// at most one look too short.
    pub(super) fn look(&mut self, next: u64, durable: u64, now_us: u64) -> u64 {
        if self.waits.is_some_and(|(offset, _)| offset < durable) {
            self.waits = None;
        }
        if next <= durable {
            self.waits = None;
            return 0;
        }
        let (_, since_us) = *self.waits.get_or_insert((next - 1, now_us));
        now_us.saturating_sub(since_us) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_record_that_stays_undurable_grows_old() {
        let mut lag = DurableLag::default();
        let mut look = |next, durable, at_ms: u64| lag.look(next, durable, at_ms * 1_000);
        assert_eq!(look(0, 0, 0), 0);
        assert_eq!(look(5, 3, 250), 0);
        assert_eq!(look(9, 4, 500), 250, "the one first seen still waits");
        assert_eq!(look(20, 9, 750), 0, "it is durable; later ones wait anew");
        assert_eq!(look(20, 12, 9_750), 9_000);
        assert_eq!(look(20, 20, 9_800), 0);
    }
}
