//! Judges the parts: which of them is past its bound, ended or panicked, and since when. Pure; time
//! is passed in.

use std::collections::BTreeMap;

use serde::Serialize;
use tidegate_event::{Beat, Life};

/// What a part is found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PartState {
    /// Moves on within its bound.
    Working,
    /// Waits on purpose.
    Idle,
    /// Works for longer than its bound without moving on.
    Stalled,
    /// Its thread or task is gone, although the gateway runs on.
    Ended,
    /// Its thread or task panicked.
    Panicked,
}

impl PartState {
    /// Neither working nor waiting.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Stalled | Self::Ended | Self::Panicked)
    }

    /// As written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Ended => "ended",
            Self::Panicked => "panicked",
        }
    }
}

/// One part as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartView {
    /// Its name.
    pub part: String,
    /// What it does.
    pub state: PartState,
    /// For how long it has not moved on, milliseconds.
    pub since_ms: u64,
    /// How long it may work without moving on, milliseconds.
    pub bound_ms: u64,
}

/// The last numbers of each part.
#[derive(Debug, Default)]
pub(super) struct Parts {
    seen: BTreeMap<String, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    beats: u64,
    life: Life,
    since_us: u64,
}

impl Parts {
    /// Looks at all parts. A part that is no longer there is forgotten.
    pub(super) fn look(&mut self, beats: Vec<Beat>, now_us: u64) -> Vec<PartView> {
        let mut seen = BTreeMap::new();
        let views = beats.into_iter().map(|beat| {
            let before = self.seen.get(&beat.name);
            let same = before.filter(|one| one.beats == beat.beats && one.life == beat.life);
            let since_us = same.map_or(now_us, |one| one.since_us);
            let view = view(&beat, now_us.saturating_sub(since_us) / 1_000);
            let now = Seen {
                beats: beat.beats,
                life: beat.life,
                since_us,
            };
            seen.insert(beat.name, now);
            view
        });
        let views = views.collect();
        self.seen = seen;
        views
    }
}

fn view(beat: &Beat, since_ms: u64) -> PartView {
    let state = match beat.life {
        Life::Working if since_ms > beat.bound_ms => PartState::Stalled,
        Life::Working => PartState::Working,
        Life::Idle => PartState::Idle,
        Life::Ended => PartState::Ended,
        Life::Panicked => PartState::Panicked,
    };
    PartView {
        part: beat.name.clone(),
        state,
        since_ms,
        bound_ms: beat.bound_ms,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_event::Pulses;

    use super::*;

    const SECOND_US: u64 = 1_000_000;

    #[test]
    fn a_part_that_works_past_its_bound_is_stalled_until_it_beats() {
        let pulses = Pulses::default();
        let pulse = pulses.register("timers", 5_000);
        let mut parts = Parts::default();
        pulse.beat();
        let mut look = |at_s: u64| parts.look(pulses.beats(), at_s * SECOND_US)[0].state;
        assert_eq!(look(1), PartState::Working);
        assert_eq!(look(6), PartState::Working);
        assert_eq!(look(7), PartState::Stalled);
        pulse.beat();
        assert_eq!(look(8), PartState::Working);
        pulse.idle();
        assert_eq!(look(1_000), PartState::Idle);
        assert_eq!(look(9_000), PartState::Idle);
        drop(pulse);
        assert_eq!(look(9_001), PartState::Ended);
    }
}
