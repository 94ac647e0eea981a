//! What Kafka gets for one journal record: topic, key, value and headers. The record itself goes
//! out byte for byte as `journal cat` prints it; each transition is one more, smaller message.
//! Nothing here sends.

use rdkafka::message::{Header, OwnedHeaders};
use tidegate_event::ProfileId;
use tidegate_event::record::{Fold, Record, RecordView, SCHEMA, TransitionRef};

/// The header that tells how the event ended; only accepted ones are in the journal.
const OUTCOME: &str = "accepted";
const SCHEMA_TEXT: &str = "1";
const _: () = assert!(SCHEMA == 1, "SCHEMA_TEXT has to follow");

/// Which of the two topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// `kafka.topic`
    Events,
    /// `kafka.transitions_topic`
    Transitions,
}

/// Writes keys and values into buffers that are used again for each message.
#[derive(Debug)]
pub(super) struct Renderer {
    journal: String,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// One message, borrowed from the [`Renderer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// Where to.
    pub(super) topic: Topic,
    /// The profile's hyphenated id; None without a profile.
    pub(super) key: Option<&'a [u8]>,
    /// JSON.
    pub(super) value: &'a [u8],
}

impl Renderer {
    /// For records of this journal.
    pub(super) fn new(journal: &str) -> Self {
        Self {
            journal: journal.to_owned(),
            key: Vec::with_capacity(36),
            value: Vec::with_capacity(4096),
        }
    }

    /// Hands each message of the record to `send`, in order; stops at the first error.
    ///
    /// A merge of profiles goes out under both keys, so that a reader of either sees it.
    pub(super) fn each<E>(
        &mut self,
        view: &RecordView<'_>,
        offset: u64,
        mut send: impl FnMut(Message<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let head = &view.head;
        self.value.clear();
        view.write_json(&self.journal, offset, &mut self.value);
        send(self.message(Topic::Events, head.profile))?;
        if let Fold::ProfileMerged(merged) = &head.fold {
            let other = if head.profile == Some(merged.loser) {
                merged.winner
            } else {
                merged.loser
            };
            send(self.message(Topic::Events, Some(other)))?;
        }
        for (index, transition) in head.transitions.iter().enumerate() {
            self.value.clear();
            write_transition(
                &mut self.value,
                &self.journal,
                offset,
                index,
                head,
                transition,
            );
            send(self.message(Topic::Transitions, transition.profile.or(head.profile)))?;
        }
        Ok(())
    }

    fn message(&mut self, topic: Topic, profile: Option<ProfileId>) -> Message<'_> {
        self.key.clear();
        if let Some(profile) = profile {
            profile.write(&mut self.key);
        }
        Message {
            topic,
            key: profile.map(|_| self.key.as_slice()),
            value: &self.value,
        }
    }
}

/// The headers of every message of this record.
pub(super) fn headers(head: &Record<'_>) -> OwnedHeaders {
    let header = |key, value| Header {
        key,
        value: Some(value),
    };
    OwnedHeaders::new_with_capacity(4)
        .insert(header("type", head.kind))
        .insert(header("source", head.source))
        .insert(header("outcome", OUTCOME))
        .insert(header("schema", SCHEMA_TEXT))
}

/// A transition is dated by its decision: a late event or a merge may cause one long after the
/// time of the event, which stands beside it.
fn write_transition(
    out: &mut Vec<u8>,
    journal: &str,
    offset: u64,
    index: usize,
    head: &Record<'_>,
    transition: &TransitionRef<'_>,
) {
    let moved = transition
        .profile
        .filter(|profile| head.profile != Some(*profile));
    out.extend_from_slice(b"{\"journal\":");
    string(out, journal);
    out.extend_from_slice(b",\"offset\":");
    number(out, offset);
    out.extend_from_slice(b",\"index\":");
    number(out, index as u64);
    out.extend_from_slice(b",\"schema\":");
    number(out, u64::from(SCHEMA));
    out.extend_from_slice(b",\"profile_id\":");
    profile(out, transition.profile.or(head.profile));
    // A merge's loser shares no identifier any more: they all lead to the winner now.
    out.extend_from_slice(b",\"anonymous_id\":");
    optional(out, head.anonymous_id.filter(|_| moved.is_none()));
    out.extend_from_slice(b",\"user_id\":");
    optional(out, head.user_id.filter(|_| moved.is_none()));
    out.extend_from_slice(b",\"segment\":");
    string(out, transition.segment);
    out.extend_from_slice(b",\"change\":");
    string(out, transition.change.as_str());
    out.extend_from_slice(b",\"epoch\":");
    number(out, u64::from(transition.epoch));
    out.extend_from_slice(b",\"occurred_at\":\"");
    head.decided_at.write_rfc3339(out);
    out.extend_from_slice(b"\",\"decided_at\":\"");
    head.decided_at.write_rfc3339(out);
    out.extend_from_slice(b"\",\"event_time\":\"");
    head.event_time.write_rfc3339(out);
    out.extend_from_slice(b"\",\"event\":");
    string(out, head.event);
    if let Some(reason) = transition.reason {
        out.extend_from_slice(b",\"reason\":");
        string(out, reason);
    }
    if moved.is_some() {
        out.extend_from_slice(b",\"merged_into\":");
        profile(out, head.profile);
    }
    out.push(b'}');
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string always fits a Vec");
}

fn optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

fn profile(out: &mut Vec<u8>, id: Option<ProfileId>) {
    match id {
        Some(id) => {
            out.push(b'"');
            id.write(out);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests;
