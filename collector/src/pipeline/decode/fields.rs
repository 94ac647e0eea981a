//! The neutral form of an event or a batch: its known members, scalars parsed, objects and a batch's
//! events as text; and its first pass, which reads it from a JSON object. Types are not checked here,
//! so that the error for a wrong one can name its path. What is read is bounded by the request's size.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;
use tidegate_event::Json;

use super::{mend, number};

/// The members that we know; an absent scalar is null. Read from JSON, the last of duplicate keys
/// counts.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) kind: Json<'a>,
    pub(crate) event: Json<'a>,
    pub(crate) name: Json<'a>,
    pub(crate) anonymous_id: Json<'a>,
    pub(crate) user_id: Json<'a>,
    pub(crate) previous_id: Json<'a>,
    pub(crate) group_id: Json<'a>,
    pub(crate) message_id: Json<'a>,
    pub(crate) timestamp: Json<'a>,
    pub(crate) original_timestamp: Json<'a>,
    pub(crate) sent_at: Json<'a>,
    pub(crate) channel: Json<'a>,
    pub(crate) write_key: Json<'a>,
    pub(crate) context: Option<Cow<'a, RawValue>>,
    pub(crate) properties: Option<Cow<'a, RawValue>>,
    pub(crate) traits: Option<Cow<'a, RawValue>>,
    pub(crate) batch: Option<Batch<'a>>,
}

/// What stands in `batch`.
#[derive(Debug)]
pub(crate) enum Batch<'a> {
    /// Its events.
    Events(Vec<&'a RawValue>),
    /// More than a request may hold.
    TooMany,
    /// Something else.
    NotAnArray,
}

impl Default for Fields<'_> {
    /// No member at all.
    fn default() -> Self {
        Self {
            kind: Json::Null,
            event: Json::Null,
            name: Json::Null,
            anonymous_id: Json::Null,
            user_id: Json::Null,
            previous_id: Json::Null,
            group_id: Json::Null,
            message_id: Json::Null,
            timestamp: Json::Null,
            original_timestamp: Json::Null,
            sent_at: Json::Null,
            channel: Json::Null,
            write_key: Json::Null,
            context: None,
            properties: None,
            traits: None,
            batch: None,
        }
    }
}

impl<'a> Fields<'a> {
    /// Reads the members of one object, and a batch of at most `batch_events_max` events.
    pub(crate) fn read(text: &'a str, batch_events_max: usize) -> serde_json::Result<Self> {
        Self::read_as(text, batch_events_max, false)
    }

    /// The error path: as [`Self::read`], half surrogate pairs replaced. A scalar that cannot be
    /// represented reads as an array, which no scalar may be.
    pub(crate) fn read_mended(text: &'a str, batch_events_max: usize) -> serde_json::Result<Self> {
        Self::read_as(text, batch_events_max, true)
    }

    fn read_as(text: &'a str, batch_events_max: usize, mended: bool) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = deserializer.deserialize_map(FieldsVisitor {
            batch_events_max,
            mended,
            text: std::marker::PhantomData,
        })?;
        deserializer.end().map(|()| fields)
    }
}

#[derive(Clone, Copy)]
enum Member {
    Kind,
    Event,
    Name,
    AnonymousId,
    UserId,
    PreviousId,
    GroupId,
    MessageId,
    Timestamp,
    OriginalTimestamp,
    SentAt,
    Channel,
    WriteKey,
    Context,
    Properties,
    Traits,
    Batch,
    Other,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes: a name that is no text is an unknown member, not an error.
        deserializer.deserialize_bytes(MemberVisitor)
    }
}

struct MemberVisitor;

impl Visitor<'_> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }
    fn visit_bytes<E>(self, key: &[u8]) -> Result<Member, E> {
        Ok(match key {
            b"type" => Member::Kind,
            b"event" => Member::Event,
            b"name" => Member::Name,
            b"anonymousId" => Member::AnonymousId,
            b"userId" => Member::UserId,
            b"previousId" => Member::PreviousId,
            b"groupId" => Member::GroupId,
            b"messageId" => Member::MessageId,
            b"timestamp" => Member::Timestamp,
            b"originalTimestamp" => Member::OriginalTimestamp,
            b"sentAt" => Member::SentAt,
            b"channel" => Member::Channel,
            b"writeKey" => Member::WriteKey,
            b"context" => Member::Context,
            b"properties" => Member::Properties,
            b"traits" => Member::Traits,
            b"batch" => Member::Batch,
            _ => Member::Other,
        })
    }
}

struct FieldsVisitor<'a> {
    batch_events_max: usize,
    mended: bool,
    text: std::marker::PhantomData<&'a ()>,
}

impl<'de: 'a, 'a> Visitor<'de> for FieldsVisitor<'a> {
    type Value = Fields<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Member>()? {
            let scalar = match key {
                Member::Kind => &mut fields.kind,
                Member::Event => &mut fields.event,
                Member::Name => &mut fields.name,
                Member::Timestamp => &mut fields.timestamp,
                Member::OriginalTimestamp => &mut fields.original_timestamp,
                Member::SentAt => &mut fields.sent_at,
                Member::Channel => &mut fields.channel,
                Member::WriteKey => &mut fields.write_key,
                Member::AnonymousId => {
                    fields.anonymous_id = identifier(map.next_value()?);
                    continue;
                }
                Member::UserId => {
                    fields.user_id = identifier(map.next_value()?);
                    continue;
                }
                Member::PreviousId => {
                    fields.previous_id = identifier(map.next_value()?);
                    continue;
                }
                Member::GroupId => {
                    fields.group_id = identifier(map.next_value()?);
                    continue;
                }
                Member::MessageId => {
                    fields.message_id = identifier(map.next_value()?);
                    continue;
                }
                Member::Context => {
                    fields.context = Some(Cow::Borrowed(map.next_value()?));
                    continue;
                }
                Member::Properties => {
                    fields.properties = Some(Cow::Borrowed(map.next_value()?));
                    continue;
                }
                Member::Traits => {
                    fields.traits = Some(Cow::Borrowed(map.next_value()?));
                    continue;
                }
                Member::Batch => {
                    let max = self.batch_events_max;
                    fields.batch = Some(map.next_value_seed(BatchSeed { max })?);
                    continue;
                }
                Member::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *scalar = if self.mended {
                mended(map.next_value()?)
            } else {
                map.next_value::<Scalar<'a>>()?.0
            };
        }
        Ok(fields)
    }
}

/// An identifier. A number becomes its decimal text, since a double would lose digits.
fn identifier(raw: &RawValue) -> Json<'_> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => Json::Str(number::as_id(text)),
        _ => mended(raw),
    }
}

/// Any scalar, whatever its escapes; one that cannot be represented becomes an array.
fn mended(raw: &RawValue) -> Json<'_> {
    let text = raw.get();
    if let Ok(Scalar(value)) = serde_json::from_str(text) {
        return value;
    }
    let read = mend::lone_surrogates(text);
    let read = read.and_then(|text| {
        Some(mend::owned(
            serde_json::from_str::<Scalar<'_>>(&text).ok()?.0,
        ))
    });
    read.unwrap_or(Json::Array(Vec::new()))
}

/// A scalar; of an array or an object only that it is one, since either is a fault here.
struct Scalar<'a>(Json<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor(std::marker::PhantomData))
    }
}

struct ScalarVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for ScalarVisitor<'a> {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Scalar<'a>, E> {
        Ok(Scalar(Json::Null))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'a>, E> {
        Ok(Scalar(Json::Bool(value)))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'a>, E> {
        Ok(Scalar(Json::Int(value)))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'a>, E> {
        Ok(Scalar(Json::from(value)))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'a>, E> {
        Ok(Scalar(Json::Float(value)))
    }
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'a>, E> {
        Ok(Scalar(Json::Str(Cow::Borrowed(value))))
    }
    fn visit_str<E>(self, value: &str) -> Result<Scalar<'a>, E> {
        Ok(Scalar(Json::Str(Cow::Owned(value.to_owned()))))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Scalar<'a>, A::Error> {
        IgnoredAny.visit_seq(seq)?;
        Ok(Scalar(Json::Array(Vec::new())))
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar<'a>, A::Error> {
        IgnoredAny.visit_map(map)?;
        Ok(Scalar(Json::Object(Vec::new())))
    }
}

/// Whether a member's name is digits only.
struct IsNumber(bool);

impl<'de> Deserialize<'de> for IsNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(IsNumberVisitor)
    }
}

struct IsNumberVisitor;

impl Visitor<'_> for IsNumberVisitor {
    type Value = IsNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }
    fn visit_bytes<E>(self, key: &[u8]) -> Result<IsNumber, E> {
        Ok(IsNumber(
            !key.is_empty() && key.iter().all(u8::is_ascii_digit),
        ))
    }
}

struct BatchSeed {
    max: usize,
}

impl<'de> DeserializeSeed<'de> for BatchSeed {
    type Value = Batch<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Batch<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BatchSeed {
    type Value = Batch<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} events", self.max)
    }
    fn visit_unit<E>(self) -> Result<Batch<'de>, E> {
        Ok(Batch::NotAnArray)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Batch<'de>, E> {
        Ok(Batch::NotAnArray)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Batch<'de>, E> {
        Ok(Batch::NotAnArray)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Batch<'de>, E> {
        Ok(Batch::NotAnArray)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Batch<'de>, E> {
        Ok(Batch::NotAnArray)
    }
    fn visit_str<E>(self, _: &str) -> Result<Batch<'de>, E> {
        Ok(Batch::NotAnArray)
    }
    /// PHP writes an array whose numbering has a gap as an object: `{"0": {...}, "2": {...}}`.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Batch<'de>, A::Error> {
        let (mut events, mut numbered, mut too_many) = (Vec::new(), true, false);
        while let Some(IsNumber(number)) = map.next_key()? {
            let event = map.next_value()?;
            numbered &= number;
            if events.len() < self.max {
                events.push(event);
            } else {
                too_many = true;
            }
        }
        Ok(if !numbered || events.is_empty() {
            Batch::NotAnArray
        } else if too_many {
            Batch::TooMany
        } else {
            Batch::Events(events)
        })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Batch<'de>, A::Error> {
        let mut events = Vec::new();
        while events.len() < self.max {
            match seq.next_element()? {
                Some(event) => events.push(event),
                None => return Ok(Batch::Events(events)),
            }
        }
        let mut too_many = false;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            too_many = true;
        }
        Ok(if too_many {
            Batch::TooMany
        } else {
            Batch::Events(events)
        })
    }
}
