//! What the live page shows: journal records and received callbacks, with the time each took.
//!
//! Keeps the last few hundred in memory and nothing else; it never holds the journal back.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_event::Timestamp;
use tokio::sync::watch;

/// Messages kept for a page that is opened or comes back.
const MESSAGES_MAX: usize = 500;
/// Transitions whose callback may still be timed.
const PENDING_MAX: usize = 4_096;

/// The messages, shared by the journal's reader, the ad server and the pages that watch.
#[derive(Debug)]
pub(crate) struct Feed {
    state: Mutex<State>,
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Bytes>,
    /// Number of the newest message; the first is 1.
    newest: u64,
    /// When the hit behind a transition arrived.
    pending: HashMap<Key, Timestamp>,
    order: VecDeque<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    profile_id: String,
    segment: String,
    epoch: u64,
}

/// The parts of a canonical record that are measured here.
#[derive(Deserialize)]
struct Seen {
    received_at: Option<String>,
    decided_at: Option<String>,
    profile_id: Option<String>,
    #[serde(default)]
    transitions: Vec<SeenTransition>,
}

#[derive(Deserialize)]
struct SeenTransition {
    segment: String,
    epoch: u64,
    /// The one that left, where a merge ended it.
    profile_id: Option<String>,
}

/// A webhook's body, as far as the page shows it.
#[derive(Deserialize)]
pub(crate) struct Callback {
    profile_id: Option<String>,
    segment: String,
    change: String,
    epoch: u64,
    occurred_at: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Message<'a> {
    Record {
        durable_ms: Option<i64>,
        decide_ms: Option<i64>,
        record: &'a RawValue,
    },
    Callback {
        verified: bool,
        ms: Option<i64>,
        profile_id: Option<&'a str>,
        segment: &'a str,
        change: &'a str,
        epoch: u64,
    },
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            newest: watch::channel(0).0,
        }
    }

    /// A record became durable and was read at `now`; one that is not canonical JSON is passed over.
    pub(crate) fn record(&self, json: &[u8], now: Timestamp) {
        let (Ok(seen), Ok(record)) = (
            serde_json::from_slice::<Seen>(json),
            serde_json::from_slice::<&RawValue>(json),
        ) else {
            return;
        };
        let received = seen
            .received_at
            .as_deref()
            .and_then(Timestamp::parse_rfc3339);
        let decided = seen
            .decided_at
            .as_deref()
            .and_then(Timestamp::parse_rfc3339);
        let mut state = self.state.lock();
        if let Some(start) = received.or(decided) {
            state.expect(&seen, start);
        }
        state.push(&Message::Record {
            durable_ms: received.map(|received| now.since(received).max(0)),
            decide_ms: received
                .zip(decided)
                .map(|(from, to)| to.since(from).max(0)),
            record,
        });
        self.newest.send_replace(state.newest);
    }

    /// The ad server received a callback at `now`.
    pub(crate) fn callback(&self, callback: &Callback, verified: bool, now: Timestamp) {
        let key = Key {
            profile_id: callback.profile_id.clone().unwrap_or_default(),
            segment: callback.segment.clone(),
            epoch: callback.epoch,
        };
        let mut state = self.state.lock();
        let occurred = callback.occurred_at.as_deref();
        let start = state.pending.get(&key).copied();
        let start = start.or_else(|| occurred.and_then(Timestamp::parse_rfc3339));
        state.push(&Message::Callback {
            verified,
            ms: start.map(|start| now.since(start).max(0)),
            profile_id: callback.profile_id.as_deref(),
            segment: &callback.segment,
            change: &callback.change,
            epoch: callback.epoch,
        });
        self.newest.send_replace(state.newest);
    }

    /// Messages after number `after`, as one piece of a server-sent event stream, and the number
    /// of the last of them. What fell out of the window is left out.
    pub(crate) fn after(&self, after: u64) -> (Vec<Bytes>, u64) {
        let state = self.state.lock();
        let new = usize::try_from(state.newest.saturating_sub(after)).unwrap_or(usize::MAX);
        let skip = state.messages.len().saturating_sub(new);
        (
            state.messages.iter().skip(skip).cloned().collect(),
            state.newest,
        )
    }

    /// Changes whenever there is a new message.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

impl State {
    fn expect(&mut self, seen: &Seen, start: Timestamp) {
        for transition in &seen.transitions {
            let profile_id = transition.profile_id.as_ref().or(seen.profile_id.as_ref());
            let key = Key {
                profile_id: profile_id.cloned().unwrap_or_default(),
                segment: transition.segment.clone(),
                epoch: transition.epoch,
            };
            self.pending.insert(key.clone(), start);
            self.order.push_back(key);
            if self.order.len() > PENDING_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.pending.remove(&oldest);
            }
        }
    }

    fn push(&mut self, message: &Message<'_>) {
        let Ok(json) = serde_json::to_string(message) else {
            return;
        };
        self.newest += 1;
        let mut event = String::with_capacity(json.len() + 32);
        // JSON text holds no bare line break outside a record's own white space.
        let json = json.replace(['\n', '\r'], " ");
        let _ = write!(event, "id: {}\ndata: {json}\n\n", self.newest);
        self.messages.push_back(Bytes::from(event));
        if self.messages.len() > MESSAGES_MAX {
            self.messages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = br#"{"journal":"j","offset":7,"schema":1,"type":"page","decided_at":"2026-11-22T10:00:00.001Z","received_at":"2026-11-22T10:00:00.000Z","profile_id":"p-1","transitions":[{"segment":"pricing","change":"enter","epoch":2}]}"#;

    fn at(ms: i64) -> Timestamp {
        Timestamp::parse_rfc3339("2026-11-22T10:00:00Z")
            .unwrap()
            .plus_ms(ms)
    }

    fn callback(epoch: u64) -> Callback {
        serde_json::from_str(&format!(
            r#"{{"profile_id":"p-1","segment":"pricing","change":"enter","epoch":{epoch},"occurred_at":"2026-11-22T09:59:59.990Z","more":1}}"#
        ))
        .unwrap()
    }

    fn data(feed: &Feed, after: u64) -> Vec<serde_json::Value> {
        let (frames, _) = feed.after(after);
        let text = |frame: &Bytes| std::str::from_utf8(frame).unwrap().to_owned();
        let parse = |frame: &Bytes| {
            let text = text(frame);
            let (_, json) = text.split_once("data: ").unwrap();
            serde_json::from_str(json.trim_end()).unwrap()
        };
        frames.iter().map(parse).collect()
    }

    #[test]
    fn a_record_says_how_long_decision_and_disk_took() {
        let feed = Feed::new();
        feed.record(RECORD, at(4));
        let [message] = &data(&feed, 0)[..] else {
            panic!("one message")
        };
        assert_eq!(message["kind"], "record");
        assert_eq!(message["decide_ms"], 1);
        assert_eq!(message["durable_ms"], 4);
        assert_eq!(message["record"]["offset"], 7);
    }

    #[test]
    fn a_callback_is_timed_from_the_hit_that_caused_it() {
        let feed = Feed::new();
        feed.record(RECORD, at(4));
        feed.callback(&callback(2), true, at(21));
        let message = &data(&feed, 1)[0];
        assert_eq!(message["kind"], "callback");
        assert_eq!(message["ms"], 21);
        assert_eq!(message["verified"], true);
    }

    #[test]
    fn a_callback_ahead_of_its_record_is_timed_by_its_own_word() {
        let feed = Feed::new();
        feed.callback(&callback(3), false, at(0));
        let message = &data(&feed, 0)[0];
        assert_eq!(message["ms"], 10);
        assert_eq!(message["verified"], false);
    }

    #[test]
    fn a_page_that_comes_back_gets_what_it_missed_and_no_more() {
        let feed = Feed::new();
        for _ in 0..3 {
            feed.record(RECORD, at(1));
        }
        assert_eq!(data(&feed, 0).len(), 3);
        assert_eq!(data(&feed, 2).len(), 1);
        assert_eq!(data(&feed, 3).len(), 0);
        assert_eq!(data(&feed, 99).len(), 0);
        assert!(feed.after(2).0[0].starts_with(b"id: 3\n"));
    }

    #[test]
    fn memory_is_bounded_whatever_happens() {
        let feed = Feed::new();
        for n in 0..PENDING_MAX + 10 {
            let text = std::str::from_utf8(RECORD).unwrap();
            let record = text.replace("\"epoch\":2", &format!("\"epoch\":{n}"));
            feed.record(record.as_bytes(), at(1));
        }
        feed.record(b"not json", at(1));
        let state = feed.state.lock();
        assert_eq!(state.messages.len(), MESSAGES_MAX);
        assert_eq!(state.pending.len(), PENDING_MAX);
        assert_eq!(state.order.len(), PENDING_MAX);
    }
}
