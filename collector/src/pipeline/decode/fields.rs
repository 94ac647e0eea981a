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
        deserializer.deserialize_identifier(MemberVisitor)
    }
}

struct MemberVisitor;

impl Visitor<'_> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }
    fn visit_str<E>(self, key: &str) -> Result<Member, E> {
        Ok(match key {
            "type" => Member::Kind,
            "event" => Member::Event,
            "name" => Member::Name,
            "anonymousId" => Member::AnonymousId,
            "userId" => Member::UserId,
            "previousId" => Member::PreviousId,
            "groupId" => Member::GroupId,
            "messageId" => Member::MessageId,
            "timestamp" => Member::Timestamp,
            "originalTimestamp" => Member::OriginalTimestamp,
            "sentAt" => Member::SentAt,
            "channel" => Member::Channel,
            "writeKey" => Member::WriteKey,
            "context" => Member::Context,
            "properties" => Member::Properties,
            "traits" => Member::Traits,
            "batch" => Member::Batch,
            _ => Member::Other,
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
        while let Some(key) = map.next_key::<Member>()? {
            match key {
                Member::Kind => fields.kind = map.next_value()?,
                Member::Event => fields.event = map.next_value()?,
                Member::Name => fields.name = map.next_value()?,
                Member::AnonymousId => fields.anonymous_id = map.next_value()?,
                Member::UserId => fields.user_id = map.next_value()?,
                Member::PreviousId => fields.previous_id = map.next_value()?,
                Member::GroupId => fields.group_id = map.next_value()?,
                Member::MessageId => fields.message_id = map.next_value()?,
                Member::Timestamp => fields.timestamp = map.next_value()?,
                Member::OriginalTimestamp => fields.original_timestamp = map.next_value()?,
                Member::SentAt => fields.sent_at = map.next_value()?,
                Member::Channel => fields.channel = map.next_value()?,
                Member::WriteKey => fields.write_key = map.next_value()?,
                Member::Context => fields.context = Some(map.next_value()?),
                Member::Properties => fields.properties = Some(map.next_value()?),
                Member::Traits => fields.traits = Some(map.next_value()?),
                Member::Batch => fields.batch = Some(map.next_value()?),
                Member::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}
