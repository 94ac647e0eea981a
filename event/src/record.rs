//! A journal record: a compact head that the fold and the cursors read, then the canonical JSON
//! that Kafka and `journal cat` hand on byte for byte.
//!
//! Layout of a payload: `version: u8`, `head_len: u32` (little endian), the head in postcard,
//! then the JSON object from `"schema":` on. The two fields in front of it, `journal` and `offset`,
//! are known only to the journal and are put there by [`RecordView::write_json`].
//!
//! State is a fold of these heads (invariant 3): everything that was decided, drawn at random or
//! looked up stands here, so the fold needs neither rules nor clock.

use serde::{Deserialize, Serialize};

use crate::aggregate::AggregateHit;
use crate::consent::Purposes;
use crate::id::{ProfileId, SegmentId, VisitorId};
use crate::segment::Change;
use crate::time::Timestamp;

/// Version of the JSON, its `schema` field.
pub const SCHEMA: u8 = 1;
/// Version that payloads are written in. Version 2 may hold kinds of [`Fold`] that version 1 had
/// not. Version 3 says all purposes where the earlier ones had a bool, which [`Purposes`] reads.
/// Adding a kind at the end changes nothing for older payloads; before any other change of the
/// head, copy its types as they were, and read the versions that have them with the copy.
pub const PAYLOAD_VERSION: u8 = 3;
/// The first version that says all purposes.
const PURPOSES_VERSION: u8 = 3;
/// The oldest version that is read.
const OLDEST_VERSION: u8 = 1;

/// Which kind of identifier an edge names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Namespace {
    /// The person's id; at most one per profile, for ever.
    UserId,
    /// A device's id, the cookie's included.
    AnonymousId,
}

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// Catalog generation that decided.
    pub generation: u32,
    /// The only "now" the fold may use; never decreases along offsets.
    pub decided_at: Timestamp,
    /// Whose record; None for an anonymous event and for catalog records.
    pub profile: Option<ProfileId>,
    /// The visitor's anonymousId, where known.
    #[serde(borrow)]
    pub anonymous_id: Option<&'a str>,
    /// The person's id, where known.
    pub user_id: Option<&'a str>,
    /// The source's name; empty for system records that have none.
    pub source: &'a str,
    /// `track`, `page`, ... or `system`.
    pub kind: &'a str,
    /// Event name; for system records the generated event's name.
    pub event: &'a str,
    /// Client's or minted message id.
    pub message_id: &'a str,
    /// Event time.
    pub event_time: Timestamp,
    /// What the visitor's consent allows, asked again at dispatch; nothing where the record is about
    /// no visitor.
    pub purposes: Purposes,
    /// Membership changes, in catalog order.
    pub transitions: Vec<TransitionRef<'a>>,
    /// What the state takes from it.
    pub fold: Fold<'a>,
}

/// One membership change, a fact that is never retracted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransitionRef<'a> {
    /// The segment's key.
    pub id: SegmentId,
    /// The segment's name.
    pub segment: &'a str,
    /// Which way.
    pub change: Change,
    /// Grows with each change.
    pub epoch: u32,
    /// `merged`, where a merge ended the loser's membership.
    pub reason: Option<&'a str>,
    /// The profile that left, where it is not the record's own (a merge's loser).
    pub profile: Option<ProfileId>,
    /// Decided by a wake-up past its segment's `wake_up_max_delay`.
    pub overdue: bool,
}

impl<'a> TransitionRef<'a> {
    /// One of the record's own profile, in time.
    #[must_use]
    pub const fn new(id: SegmentId, segment: &'a str, change: Change, epoch: u32) -> Self {
        Self {
            id,
            segment,
            change,
            epoch,
            reason: None,
            profile: None,
            overdue: false,
        }
    }
}

/// What a record changes in the state, one variant per kind of record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fold<'a> {
    /// A received event.
    Event(#[serde(borrow)] EventFold<'a>),
    /// A session opened.
    SessionStart(SessionRef),
    /// A session's silence outlasted its gap.
    SessionEnd(SessionEnd),
    /// A late event bridged two sessions: `from` was merged into `into`.
    SessionMerged(SessionMerged),
    /// Two profiles are one person.
    ProfileMerged(ProfileMerged),
    /// A segment's wake-up was evaluated.
    WakeUp(WakeUpFold),
    /// A catalog became the current one.
    Catalog(CatalogFold<'a>),
    /// The profile was erased.
    Erased,
    /// An event of another person on the same device belongs to a session of this profile.
    SessionContinued(SessionContinued),
    /// A session opened on a device that no profile took: the device gets a profile of its own.
    DeviceStart(#[serde(borrow)] DeviceStart<'a>),
}

/// State changes of a received event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventFold<'a> {
    /// When the gateway received it.
    pub received_at: Timestamp,
    /// 128-bit keyed hash of the deduplication key; None where there is none.
    pub dedup: Option<u128>,
    /// Identifiers that this event ties to the profile and that were not tied to it before.
    #[serde(borrow)]
    pub edges: Vec<(Namespace, &'a str)>,
    /// The session it belongs to; None when late, server-side or anonymous.
    pub session: Option<SessionRef>,
    /// A page or screen view.
    pub page_view: bool,
    /// Counts as a conversion.
    pub conversion: bool,
    /// Milliseconds the page was visible, as the tag says.
    pub visible_ms: u32,
    /// What it adds to aggregates.
    pub hits: Vec<AggregateHit>,
    /// The profile's next wake-up after this record; None: none.
    pub wake_up: Option<Timestamp>,
    /// New traits (a JSON object) to lay over the profile's.
    pub traits: Option<&'a str>,
}

/// Which session of which visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRef {
    /// Random, minted when it opened.
    pub id: u128,
    /// The visitor it belongs to.
    pub visitor: VisitorId,
    /// From 1, in order of opening.
    pub index: u32,
    /// The gap in force when it opened, in milliseconds.
    pub gap_ms: u32,
}

/// A session's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// Which one.
    pub session: SessionRef,
    /// Which end of this session: a late event may reopen it, and it ends again. From 1.
    pub revision: u16,
    /// The profile's next wake-up after this record; None: none.
    pub wake_up: Option<Timestamp>,
}

/// Two sessions of one visitor became one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionMerged {
    /// The one opened first; it stays.
    pub into: SessionRef,
    /// Index of the one that is gone.
    pub from_index: u32,
    /// Id of the one that is gone.
    pub from_id: u128,
    /// Grows with each merge into and each end of `into`.
    pub revision: u16,
}

/// What an event that another profile's record holds brings to a session: a session is the device's,
/// whoever is signed in on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionContinued {
    /// Which one.
    pub session: SessionRef,
    /// When the gateway received the event.
    pub received_at: Timestamp,
    /// A page or screen view.
    pub page_view: bool,
    /// Counts as a conversion.
    pub conversion: bool,
    /// Milliseconds the page was visible.
    pub visible_ms: u32,
}

/// The first session of a device's own profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceStart<'a> {
    /// The session that opened.
    pub session: SessionRef,
    /// The device's id, which from now on leads to this profile.
    pub anonymous_id: &'a str,
}

/// A profile merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileMerged {
    /// The older profile; the record's own `profile`.
    pub winner: ProfileId,
    /// The one that becomes an alias.
    pub loser: ProfileId,
    /// The profile's next wake-up after this record; None: none.
    pub wake_up: Option<Timestamp>,
}

/// A wake-up that fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeUpFold {
    /// When they were due.
    pub due: Timestamp,
    /// The profile's next wake-up after this record; None: none.
    pub wake_up: Option<Timestamp>,
}

/// A catalog change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogFold<'a> {
    /// SHA-256 of the catalog's canonical text, hex.
    pub digest: &'a str,
}

/// A payload taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordView<'a> {
    /// The head.
    pub head: Record<'a>,
    /// The canonical JSON from `"schema":` to the closing brace.
    pub json: &'a [u8],
}

/// A payload that is no record of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer build.
    #[error(
        "its format {0} is newer than this build reads ({OLDEST_VERSION} to {PAYLOAD_VERSION}): \
         run the tidegate that wrote it, or a later one"
    )]
    Newer(u8),
    /// Written by a build from before the first release.
    #[error(
        "its format {0} is older than this build reads ({OLDEST_VERSION} to {PAYLOAD_VERSION}), and \
         no release wrote it"
    )]
    Older(u8),
    /// Shorter than its own head says, or a head that does not parse.
    #[error("record payload is malformed")]
    Malformed,
}

impl<'a> Record<'a> {
    /// Fills in what was decided once the rest of it was folded. A kind that decides no wake-up has
    /// no place for one.
    pub fn decide(&mut self, transitions: Vec<TransitionRef<'a>>, wake_up: Option<Timestamp>) {
        self.transitions = transitions;
        match &mut self.fold {
            Fold::Event(fold) => fold.wake_up = wake_up,
            Fold::SessionEnd(fold) => fold.wake_up = wake_up,
            Fold::ProfileMerged(fold) => fold.wake_up = wake_up,
            Fold::WakeUp(fold) => fold.wake_up = wake_up,
            Fold::SessionStart(_)
            | Fold::SessionMerged(_)
            | Fold::Catalog(_)
            | Fold::Erased
            | Fold::SessionContinued(_)
            | Fold::DeviceStart(_) => {}
        }
    }

    /// Appends head and JSON to `out`; `json` gets the buffer with the head already in it.
    ///
    /// # Errors
    /// [`RecordError::Malformed`] where the head is larger than `u32::MAX` bytes.
    pub fn write(
        &self,
        mut out: Vec<u8>,
        json: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Vec<u8>, RecordError> {
        let start = out.len();
        out.push(PAYLOAD_VERSION);
        out.extend_from_slice(&[0; 4]);
        let mut out = postcard::to_extend(self, out).map_err(|_| RecordError::Malformed)?;
        let head_len = u32::try_from(out.len() - start - 5).map_err(|_| RecordError::Malformed)?;
        out[start + 1..start + 5].copy_from_slice(&head_len.to_le_bytes());
        json(&mut out);
        Ok(out)
    }
}

impl<'a> RecordView<'a> {
    /// Takes a payload apart without copying.
    ///
    /// # Errors
    /// [`RecordError`] for a payload of another version or a broken one.
    pub fn read(payload: &'a [u8]) -> Result<Self, RecordError> {
        let (&version, rest) = payload.split_first().ok_or(RecordError::Malformed)?;
        match version {
            OLDEST_VERSION..=PAYLOAD_VERSION => {}
            ..OLDEST_VERSION => return Err(RecordError::Older(version)),
            _ => return Err(RecordError::Newer(version)),
        }
        let (len, rest) = rest
            .split_first_chunk::<4>()
            .ok_or(RecordError::Malformed)?;
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| RecordError::Malformed)?;
        let (head, json) = rest.split_at_checked(len).ok_or(RecordError::Malformed)?;
        let mut head: Record<'a> =
            postcard::from_bytes(head).map_err(|_| RecordError::Malformed)?;
        if version < PURPOSES_VERSION && head.profile.is_none() {
            // The bool was false for every event without a profile: its consent was `anonymous`.
            head.purposes = head.purposes.and(Purposes::ANONYMOUS);
        }
        Ok(Self { head, json })
    }

    /// Appends the whole canonical JSON object, one line, no newline.
    pub fn write_json(&self, journal: &str, offset: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"journal\":\"");
        out.extend_from_slice(journal.as_bytes());
        out.extend_from_slice(b"\",\"offset\":");
        out.extend_from_slice(itoa::Buffer::new().format(offset).as_bytes());
        out.push(b',');
        out.extend_from_slice(self.json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record<'static> {
        Record {
            generation: 3,
            decided_at: Timestamp(1_000),
            profile: Some(ProfileId(7)),
            anonymous_id: Some("a-1"),
            user_id: None,
            source: "demo",
            kind: "track",
            event: "Order Completed",
            message_id: "m-1",
            event_time: Timestamp(900),
            purposes: Purposes::GRANTED,
            transitions: vec![TransitionRef::new(
                SegmentId::of("buyers"),
                "buyers",
                Change::Enter,
                1,
            )],
            fold: Fold::Event(EventFold {
                edges: vec![(Namespace::AnonymousId, "a-1")],
                dedup: Some(9),
                ..EventFold::default()
            }),
        }
    }

    #[test]
    fn a_record_reads_back_what_it_wrote() {
        let payload = record()
            .write(Vec::new(), |out| out.extend_from_slice(b"\"schema\":1}"))
            .unwrap();
        let view = RecordView::read(&payload).unwrap();
        assert_eq!(view.head, record());
        let mut json = Vec::new();
        view.write_json("j", 42, &mut json);
        assert_eq!(json, br#"{"journal":"j","offset":42,"schema":1}"#);
    }

    #[test]
    fn a_cut_payload_is_an_error_at_every_length() {
        let payload = record().write(Vec::new(), |_| ()).unwrap();
        for len in 0..payload.len() {
            assert!(RecordView::read(&payload[..len]).is_err(), "{len}");
        }
        assert_eq!(RecordView::read(&[9]), Err(RecordError::Newer(9)));
    }

    fn plain(profile: Option<ProfileId>, purposes: Purposes) -> Record<'static> {
        Record {
            profile,
            purposes,
            transitions: Vec::new(),
            fold: Fold::Erased,
            ..record()
        }
    }

    /// What builds wrote of [`plain`] before records said all purposes: a bool in their place.
    fn earlier(version: u8, profile: &[u8], dispatch: u8) -> Vec<u8> {
        let head = [
            b"\x03\xd0\x0f",
            profile,
            b"\x01\x03a-1\0\x04demo\x05track\x0fOrder Completed\x03m-1\x88\x0e",
            &[dispatch, 0, 7],
        ];
        let head = head.concat();
        let head_len = u8::try_from(head.len()).unwrap();
        [&[version, head_len, 0, 0, 0], &*head].concat()
    }

    #[test]
    fn the_bool_of_earlier_versions_is_read_as_purposes() {
        let known: &[u8] = &[1, 7];
        for version in [1, 2] {
            for (profile, dispatch, purposes) in [
                (known, 1, Purposes::GRANTED),
                (known, 0, Purposes::NO_SHARE),
                (&[0], 0, Purposes::ANONYMOUS),
            ] {
                let payload = earlier(version, profile, dispatch);
                let head = RecordView::read(&payload).unwrap().head;
                let profile = (profile == known).then_some(ProfileId(7));
                assert_eq!(head, plain(profile, purposes), "{version}");
            }
        }
    }

    #[test]
    fn all_that_changed_since_is_the_byte_of_the_purposes() {
        let purposes = Purposes::NO_SHARE;
        let now = plain(Some(ProfileId(7)), purposes).write(Vec::new(), |_| ());
        let byte = postcard::to_stdvec(&purposes).unwrap()[0];
        assert_eq!(now.unwrap(), earlier(PAYLOAD_VERSION, &[1, 7], byte));
    }

    #[test]
    fn earlier_versions_are_read_and_unknown_ones_named() {
        let mut payload = record().write(Vec::new(), |_| ()).unwrap();
        assert_eq!(payload[0], PAYLOAD_VERSION);
        payload[0] = OLDEST_VERSION;
        assert_eq!(RecordView::read(&payload).unwrap().head, record());
        let said = |version| RecordView::read(&[version]).unwrap_err().to_string();
        assert!(said(0).contains("0 is older than"), "{}", said(0));
        assert!(said(4).contains("4 is newer than"), "{}", said(4));
    }
}
