//! The last outcomes, in memory, so that an operator can ask why a hit was dropped: every one that
//! is no success, and a sample of the accepted. It holds message ids, which clients choose, and
//! reasons; no identifier of a visitor, no address, no payload. Counting is [`crate::tracked`]'s.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use tidegate_event::{Outcome, Timestamp};

/// Bytes kept of one text.
const TEXT_BYTES_MAX: usize = 256;

/// How one event ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecentOutcome {
    /// When it was received; RFC 3339, as in bad rows.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
    /// The source's name, where it is known.
    pub source: Option<String>,
    /// The path it came by, where it is known.
    pub path: Option<String>,
    /// The client's id of it.
    pub message_id: Option<String>,
    /// The end.
    pub outcome: Outcome,
    /// The HTTP status of the answer, which is one for all events of a request. None: the client
    /// hung up before it, and the outcome is the one that it would have received.
    pub status: Option<u16>,
    /// Why, where it is no success or has no status.
    pub reason: Option<String>,
}

/// One end as it happens.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// When the event was received.
    pub at: Timestamp,
    /// The source's name.
    pub source: Option<&'a str>,
    /// The path it came by.
    pub path: Option<&'a str>,
    /// The client's id of it.
    pub message_id: Option<&'a str>,
    /// The end.
    pub outcome: Outcome,
    /// The status of the answer, where the client waited for it.
    pub status: Option<u16>,
    /// Why.
    pub reason: Option<&'a str>,
}

/// The last outcomes. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct RecentOutcomes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kept_max: usize,
    /// Of accepted events every this many is kept; 0: none.
    sample: AtomicU32,
    accepted: AtomicU32,
    kept: Mutex<VecDeque<RecentOutcome>>,
}

impl RecentOutcomes {
    /// Keeps `kept_max` of them.
    #[must_use]
    pub fn new(kept_max: usize, sample: u32) -> Self {
        Self(Arc::new(Inner {
            kept_max,
            sample: AtomicU32::new(sample),
            ..Inner::default()
        }))
    }

    /// Keeps another share of the accepted from now on.
    pub fn set_sample(&self, sample: u32) {
        self.0.sample.store(sample, Ordering::Relaxed);
    }

    /// Keeps one, oldest out. An accepted one that is not sampled costs one atomic addition.
    pub fn keep(&self, ended: &Ended<'_>) {
        if self.0.kept_max == 0 || (ended.outcome == Outcome::Accepted && !self.sampled()) {
            return;
        }
        let outcome = RecentOutcome {
            at: ended.at,
            source: ended.source.map(bounded),
            path: ended.path.map(bounded),
            message_id: ended.message_id.map(bounded),
            outcome: ended.outcome,
            status: ended.status,
            reason: ended.reason.map(bounded),
        };
        let mut kept = self.0.kept.lock();
        if kept.len() >= self.0.kept_max {
            kept.pop_front();
        }
        kept.push_back(outcome);
    }

    /// The newest `last`, newest first: all, or those of one message.
    #[must_use]
    pub fn last(&self, last: usize, message_id: Option<&str>) -> Vec<RecentOutcome> {
        let wanted = message_id.map(bounded);
        let kept = self.0.kept.lock();
        let fits = |one: &&RecentOutcome| wanted.is_none() || one.message_id == wanted;
        kept.iter().rev().filter(fits).take(last).cloned().collect()
    }

    fn sampled(&self) -> bool {
        let sample = self.0.sample.load(Ordering::Relaxed);
        let count = self.0.accepted.fetch_add(1, Ordering::Relaxed);
        sample > 0 && count.is_multiple_of(sample)
    }
}

fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn bounded(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(message_id: &str, outcome: Outcome) -> Ended<'_> {
        Ended {
            at: Timestamp(1),
            source: Some("shop"),
            path: Some("/v1/events"),
            message_id: Some(message_id),
            outcome,
            status: Some(200),
            reason: None,
        }
    }

    fn ids(recent: &RecentOutcomes, last: usize, id: Option<&str>) -> Vec<String> {
        let kept = recent.last(last, id).into_iter();
        kept.filter_map(|one| one.message_id).collect()
    }

    #[test]
    fn the_newest_are_kept_and_found_by_their_message_id() {
        let recent = RecentOutcomes::new(2, 0);
        for id in ["a", "b", "c"] {
            recent.keep(&ended(id, Outcome::Invalid));
        }
        assert_eq!(ids(&recent, 10, None), ["c", "b"]);
        assert_eq!(ids(&recent, 1, None), ["c"]);
        assert_eq!(ids(&recent, 10, Some("b")), ["b"]);
        assert_eq!(ids(&recent, 10, Some("a")), [""; 0]);
    }

    #[test]
    fn of_the_accepted_only_a_sample_is_kept() {
        let recent = RecentOutcomes::new(100, 10);
        for _ in 0..100 {
            recent.keep(&ended("a", Outcome::Accepted));
        }
        assert_eq!(recent.last(100, None).len(), 10);
        recent.set_sample(0);
        recent.keep(&ended("b", Outcome::Accepted));
        recent.keep(&ended("c", Outcome::Duplicate));
        assert_eq!(ids(&recent, 1, None), ["c"]);
        assert_eq!(recent.last(100, None).len(), 11);
    }

    #[test]
    fn the_time_is_written_as_a_date() {
        let recent = RecentOutcomes::new(1, 0);
        recent.keep(&ended("a", Outcome::Invalid));
        let written = serde_json::to_value(&recent.last(1, None)[0]).unwrap();
        assert_eq!(written["at"], "1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn a_long_text_is_cut_and_still_found() {
        let recent = RecentOutcomes::new(1, 0);
        let long = "ä".repeat(1_000);
        recent.keep(&ended(&long, Outcome::Invalid));
        let kept = recent.last(1, Some(&long));
        assert_eq!(kept[0].message_id.as_ref().unwrap().len(), TEXT_BYTES_MAX);
    }
}
