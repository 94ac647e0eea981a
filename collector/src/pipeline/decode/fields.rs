//! The first pass over an event or a batch: its known members, scalars parsed and objects as text.
//! Types are not judged here, so that a wrong one can be named with its path.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use tidegate_event::Json;

/// The members of one JSON object that we know; an absent scalar is null. The last of duplicate
/// keys counts.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) kind: Json<'a>,
    pub(super) event: Json<'a>,
    pub(super) name: Json<'a>,
    pub(super) anonymous_id: Json<'a>,
    pub(super) user_id: Json<'a>,
    pub(super) previous_id: Json<'a>,
    pub(super) group_id: Json<'a>,
    pub(super) message_id: Json<'a>,
    pub(super) timestamp: Json<'a>,
    pub(super) original_timestamp: Json<'a>,
    pub(super) sent_at: Json<'a>,
    pub(super) channel: Json<'a>,
    pub(super) write_key: Json<'a>,
    pub(super) context: Option<&'a RawValue>,
    pub(super) properties: Option<&'a RawValue>,
    pub(super) traits: Option<&'a RawValue>,
    pub(super) batch: Option<&'a RawValue>,
}

impl Fields<'_> {
    const fn none() -> Self {
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

#[derive(Clone, Copy)]
enum Key {
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

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }
    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(match key {
            "type" => Key::Kind,
            "event" => Key::Event,
            "name" => Key::Name,
            "anonymousId" => Key::AnonymousId,
            "userId" => Key::UserId,
            "previousId" => Key::PreviousId,
            "groupId" => Key::GroupId,
            "messageId" => Key::MessageId,
            "timestamp" => Key::Timestamp,
            "originalTimestamp" => Key::OriginalTimestamp,
            "sentAt" => Key::SentAt,
            "channel" => Key::Channel,
            "writeKey" => Key::WriteKey,
            "context" => Key::Context,
            "properties" => Key::Properties,
            "traits" => Key::Traits,
            "batch" => Key::Batch,
            _ => Key::Other,
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(std::marker::PhantomData))
    }
}

struct FieldsVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for FieldsVisitor<'a> {
    type Value = Fields<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
        let mut fields = Fields::none();
        while let Some(key) = map.next_key::<Key>()? {
            match key {
                Key::Kind => fields.kind = map.next_value()?,
                Key::Event => fields.event = map.next_value()?,
                Key::Name => fields.name = map.next_value()?,
                Key::AnonymousId => fields.anonymous_id = map.next_value()?,
                Key::UserId => fields.user_id = map.next_value()?,
                Key::PreviousId => fields.previous_id = map.next_value()?,
                Key::GroupId => fields.group_id = map.next_value()?,
                Key::MessageId => fields.message_id = map.next_value()?,
                Key::Timestamp => fields.timestamp = map.next_value()?,
                Key::OriginalTimestamp => fields.original_timestamp = map.next_value()?,
                Key::SentAt => fields.sent_at = map.next_value()?,
                Key::Channel => fields.channel = map.next_value()?,
                Key::WriteKey => fields.write_key = map.next_value()?,
                Key::Context => fields.context = Some(map.next_value()?),
                Key::Properties => fields.properties = Some(map.next_value()?),
                Key::Traits => fields.traits = Some(map.next_value()?),
                Key::Batch => fields.batch = Some(map.next_value()?),
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}
