//! What a client said, decoded into the canonical shape (the Segment spec's), nothing added yet.

use std::borrow::Cow;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};

use crate::consent::Sealed;
use crate::json::Json;
use crate::time::Timestamp;

/// The Segment spec's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventType {
    /// Something a person did; has a name.
    Track,
    /// A page view.
    Page,
    /// A screen view in an app.
    Screen,
    /// Who the person is.
    Identify,
    /// Which group the person belongs to.
    Group,
    /// Two ids are one person.
    Alias,
}

impl EventType {
    /// The word of the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Identify => "identify",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }

    /// The type of this word, as the wire spells it.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Track,
            Self::Page,
            Self::Screen,
            Self::Identify,
            Self::Group,
            Self::Alias,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == word)
    }
}

/// An object of the event: its text as sent (journaled verbatim) and its parsed members.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<'a> {
    /// Compact or not, exactly as the client wrote it; always a JSON object.
    pub raw: Cow<'a, str>,
    /// The same, parsed; always [`Json::Object`].
    pub value: Json<'a>,
}

impl Object<'_> {
    /// `{}`
    #[must_use]
    pub fn empty() -> Self {
        Self {
            raw: Cow::Borrowed("{}"),
            value: Json::Object(Vec::new()),
        }
    }
}

/// The identifiers of an event as the client sent them, placeholders included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentIds<'a> {
    /// The device as the client names it.
    pub anonymous_id: Option<Cow<'a, str>>,
    /// The person as the client names them.
    pub user_id: Option<Cow<'a, str>>,
    /// `previousId` of an alias: a second identifier of the same person.
    pub previous_id: Option<Cow<'a, str>>,
}

impl Sealed<SentIds<'_>> {
    /// Feeds the identifiers to a keyed hash, for the deduplication key of an event without a message
    /// id. Stored keys depend on these bytes.
    pub fn hash_to(&self, hasher: &mut impl Hasher) {
        let ids = self.closed();
        for id in [&ids.anonymous_id, &ids.user_id, &ids.previous_id] {
            hasher.write(id.as_deref().unwrap_or("\u{0}").as_bytes());
            hasher.write_u8(0xff);
        }
    }
}

/// One decoded event. Strings borrow from the request body where they can.
#[derive(Clone, Debug)]
pub struct Hit<'a> {
    /// Which call it is.
    pub kind: EventType,
    /// `event` of a track, `name` of a page or screen, else empty.
    pub name: Cow<'a, str>,
    /// The client's id, at most 100 bytes; the deduplication key.
    pub message_id: Option<Cow<'a, str>>,
    /// Who sent it, closed until consent is resolved.
    pub ids: Sealed<SentIds<'a>>,
    /// The client's clock when it happened.
    pub occurred_at: Option<Timestamp>,
    /// The client's clock when it was sent (of the event, else of the batch).
    pub sent_at: Option<Timestamp>,
    /// The timestamp's own text, which the fallback deduplication key hashes.
    pub timestamp_as_sent: Option<Cow<'a, str>>,
    /// `channel: "server"`: never reads or sets a cookie, never opens a session.
    pub server_channel: bool,
    /// `context`
    pub context: Object<'a>,
    /// `properties`
    pub properties: Object<'a>,
    /// `traits`, or `context.traits`.
    pub traits: Object<'a>,
    /// The batch's consent signals that the event's own members replace in `context`, by member. Both
    /// count.
    pub lent_consents: Vec<(&'static str, Json<'a>)>,
}
