//! Judges the cursors: one that has records before it and does not move is stalled. Pure; time is
//! passed in.

use std::collections::BTreeMap;

use serde::Serialize;
use tidegate_journal::CursorInfo;

/// One cursor as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StallView {
    /// Its name.
    pub cursor: String,
    /// Durable records before it.
    pub lag: u64,
    /// For how long it has not moved although it should, milliseconds.
    pub still_ms: u64,
    /// Longer than `liveness.cursor_stalled`.
    pub stalled: bool,
}

/// The last position of each cursor.
#[derive(Debug, Default)]
pub(super) struct CursorWatch {
    seen: BTreeMap<String, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    position: u64,
    rests: bool,
    since_us: u64,
}

impl CursorWatch {
    /// Looks at all cursors. `allowed_lag` says how far behind one may rest by design.
    pub(super) fn look(
        &mut self,
        cursors: Vec<CursorInfo>,
        allowed_lag: impl Fn(&str) -> u64,
        bound_ms: u64,
        now_us: u64,
    ) -> Vec<StallView> {
        let mut seen = BTreeMap::new();
        let views = cursors.into_iter().map(|cursor| {
            let rests = cursor.lag <= allowed_lag(&cursor.name);
            let before = self.seen.get(&cursor.name);
            let still = |one: &&Seen| !rests && !one.rests && one.position == cursor.position;
            let same = before.filter(still);
            let since_us = same.map_or(now_us, |one| one.since_us);
            let still_ms = now_us.saturating_sub(since_us) / 1_000;
            let now = Seen {
                position: cursor.position,
                rests,
                since_us,
            };
            seen.insert(cursor.name.clone(), now);
            StallView {
                cursor: cursor.name,
                lag: cursor.lag,
                still_ms,
                stalled: still_ms > bound_ms,
            }
        });
        let views = views.collect();
        self.seen = seen;
        views
    }
}

#[cfg(test)]
mod tests {
    use tidegate_journal::CursorClass;

    use super::*;

    fn at(position: u64, lag: u64) -> Vec<CursorInfo> {
        vec![CursorInfo {
            name: "activation".to_owned(),
            class: CursorClass::Required,
            position,
            lag,
            gaps: 0,
            lost_records: 0,
        }]
    }

    #[test]
    fn only_a_cursor_that_is_behind_and_does_not_move_is_stalled() {
        let mut watch = CursorWatch::default();
        let mut look = |position, lag, at_s: u64| {
            let view = watch.look(at(position, lag), |_| 2, 30_000, at_s * 1_000_000);
            (view[0].still_ms, view[0].stalled)
        };
        assert_eq!(look(5, 0, 10), (0, false));
        assert_eq!(look(5, 2, 100), (0, false), "so far it may rest");
        assert_eq!(look(5, 3, 200), (0, false), "behind from now on");
        assert_eq!(look(5, 4, 230), (30_000, false));
        assert_eq!(look(5, 9, 231), (31_000, true));
        assert_eq!(look(6, 9, 232), (0, false), "it moves");
        assert_eq!(look(6, 0, 400), (0, false));
    }
}
