//! Session rules, each as one sentence, and the gap rule against a reference clustering.

use proptest::prelude::*;
use tidegate_event::record::{SessionEnd, SessionMerged, SessionRef};
use tidegate_event::{Timestamp, VisitorId};

use super::{Assignment, Caps, Session, SessionEvent, assign, fold};
use crate::list::List;

const GAP_MS: u32 = 1_800_000;
const VISITOR: VisitorId = VisitorId(7);
const NO_CAPS: Caps = Caps {
    span_ms: i64::MAX,
    events: u16::MAX,
};

#[derive(Default)]
struct Visits {
    sessions: List<Session>,
    opened: u32,
    caps: Option<Caps>,
}

impl Visits {
    fn hit(&mut self, at: i64, received_at: i64) -> Option<u32> {
        let (at, received_at) = (Timestamp(at), Timestamp(received_at));
        let caps = self.caps.unwrap_or_default();
        let session = match assign(&self.sessions, VISITOR, at, received_at, caps) {
            Assignment::Late => return None,
            Assignment::Join(position) => self.sessions[position].reference(),
            Assignment::Bridge { into, from } => {
                let (into, from) = (
                    self.sessions[into].reference(),
                    self.sessions[from].reference(),
                );
                let merged = SessionMerged {
                    into,
                    from_index: from.index,
                    from_id: from.id,
                    revision: 1,
                };
                fold::merged(&mut self.sessions, &merged);
                into
            }
            Assignment::Open => {
                self.opened += 1;
                let id = u128::from(self.opened);
                let session = SessionRef {
                    id,
                    visitor: VISITOR,
                    index: self.opened,
                    gap_ms: GAP_MS,
                };
                fold::start(&mut self.sessions, session, at);
                session
            }
        };
        let event = SessionEvent {
            at,
            received_at,
            page_view: true,
            conversion: false,
            visible_ms: 0,
        };
        fold::event(&mut self.sessions, session, &event);
        Some(session.index)
    }
}

const MIN: i64 = 60_000;

#[test]
fn a_gap_of_exactly_thirty_minutes_stays_and_one_more_millisecond_opens() {
    let mut visits = Visits::default();
    assert_eq!(visits.hit(0, 0), Some(1));
    assert_eq!(visits.hit(30 * MIN, 30 * MIN), Some(1));
    assert_eq!(visits.hit(60 * MIN + 1, 60 * MIN + 1), Some(2));
}

#[test]
fn an_event_over_sixty_minutes_late_has_no_session_and_extends_none() {
    let mut visits = Visits::default();
    visits.hit(120 * MIN, 120 * MIN);
    assert_eq!(visits.hit(59 * MIN, 120 * MIN), None);
    assert_eq!(visits.sessions[0].started_at, Timestamp(120 * MIN));
}

#[test]
fn a_late_event_moves_the_start_but_not_the_index() {
    let mut visits = Visits::default();
    visits.hit(100 * MIN, 100 * MIN);
    assert_eq!(visits.hit(75 * MIN, 101 * MIN), Some(1));
    assert_eq!(visits.sessions[0].started_at, Timestamp(75 * MIN));
}

#[test]
fn a_late_event_that_bridges_two_merges_them_into_the_one_opened_first() {
    let mut visits = Visits::default();
    visits.hit(100 * MIN, 100 * MIN);
    assert_eq!(visits.hit(150 * MIN, 150 * MIN), Some(2));
    assert_eq!(visits.hit(125 * MIN, 151 * MIN), Some(1));
    assert_eq!(visits.sessions.len(), 1);
    assert_eq!(
        (visits.sessions[0].events, visits.sessions[0].revision),
        (3, 1)
    );
}

#[test]
fn twelve_hours_or_2500_events_open_a_new_session() {
    let mut visits = Visits::default();
    for quarter in 0..=48 {
        assert_eq!(visits.hit(quarter * 15 * MIN, quarter * 15 * MIN), Some(1));
    }
    assert_eq!(visits.hit(12 * 60 * MIN + 1, 12 * 60 * MIN + 1), Some(2));
    let mut busy = Visits::default();
    for second in 0..2_500 {
        assert_eq!(busy.hit(second * 1_000, second * 1_000), Some(1));
    }
    assert_eq!(busy.hit(2_500_000, 2_500_000), Some(2));
}

#[test]
fn a_hundred_hits_in_a_hundred_seconds_mark_a_bot_and_do_not_split() {
    let mut visits = Visits::default();
    for hit in 0..99 {
        visits.hit(hit * 1_000, hit * 1_000);
    }
    assert!(!visits.sessions[0].bot_suspect);
    assert_eq!(visits.hit(99_000, 99_000), Some(1));
    assert!(visits.sessions[0].bot_suspect);
}

#[test]
fn at_most_four_sessions_are_kept_for_a_visitor() {
    let mut visits = Visits::default();
    for step in 0..6 {
        visits.hit(step * 31 * MIN, step * 31 * MIN);
    }
    assert_eq!(visits.sessions.len(), super::KEPT_MAX);
    assert_eq!(visits.sessions[0].index, 3);
}

#[test]
fn an_ended_session_is_let_go_once_no_event_can_reach_it() {
    let mut visits = Visits::default();
    visits.hit(0, 0);
    let session = visits.sessions[0].reference();
    fold::end(
        &mut visits.sessions,
        &SessionEnd {
            session,
            revision: 1,
            wake_up: None,
        },
    );
    visits.hit(90 * MIN, 90 * MIN);
    assert_eq!(
        visits.sessions.len(),
        2,
        "a 60 min late event could still join it"
    );
    visits.hit(91 * MIN, 91 * MIN);
    assert_eq!(visits.sessions.len(), 1);
}

/// Sorts by time and cuts wherever the silence is longer than the gap.
fn clusters(mut times: Vec<i64>) -> Vec<(i64, i64, u16)> {
    times.sort_unstable();
    let mut found: Vec<(i64, i64, u16)> = Vec::new();
    for at in times {
        match found.last_mut() {
            Some((_, last, events)) if at - *last <= i64::from(GAP_MS) => {
                *last = at;
                *events += 1;
            }
            _ => found.push((at, at, 1)),
        }
    }
    found
}

proptest! {
    #[test]
    fn any_arrival_order_within_the_lateness_gives_the_same_sessions(
        // Four sessions are kept, so the times span few enough of them.
        times in prop::collection::vec(0i64..100 * 60_000, 1..40),
        order in any::<u64>(),
    ) {
        let received_at = 60 * MIN;
        let times: Vec<i64> = times.into_iter().map(|t| t.min(received_at)).collect();
        prop_assume!(clusters(times.clone()).len() <= super::KEPT_MAX);
        let mut shuffled = times.clone();
        shuffled.sort_by_key(|t| (*t as u64 ^ order).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut visits = Visits { caps: Some(NO_CAPS), ..Visits::default() };
        for at in shuffled {
            visits.hit(at, received_at);
        }
        let mut got: Vec<_> =
            visits.sessions.iter().map(|s| (s.started_at.0, s.last_at.0, s.events)).collect();
        got.sort_unstable();
        prop_assert_eq!(got, clusters(times));
    }
}
