//! One event's rules: which members each call needs, and what a batch lends to its events.

use std::borrow::Cow;

use tidegate_event::hit::Object;
use tidegate_event::json::write_str;
use tidegate_event::{EventType, Hit, Json};

use super::error::DecodeError;
use super::fields::Fields;
use super::{
    DEPTH_MAX, Decoded, ID_BYTES_MAX, Limits, MESSAGE_ID_BYTES_MAX, Salvaged, object, scalar,
};
use crate::pipeline::members::Members;
use crate::pipeline::tag_consent::TagConsent;

/// What a batch says for all its events; an event's own word wins.
#[derive(Debug, Default)]
pub(super) struct Shared<'a> {
    /// None also where its text alone is over an event's limit.
    pub(super) context: Option<Object<'a>>,
    /// Of the context's text; 0 where it is no object.
    pub(super) context_bytes: usize,
    pub(super) sent_at: Option<Json<'a>>,
    pub(super) server_channel: bool,
}

/// One event after the first pass.
#[derive(Debug)]
pub(super) struct Sent<'a> {
    raw: &'a str,
    fields: Result<Fields<'a>, DecodeError>,
}

impl<'a> Sent<'a> {
    /// Reads one element of a batch; `raw` is well-formed JSON.
    pub(super) fn element(raw: &'a str) -> Self {
        let fields = Fields::read(raw, 0).map_err(|error| unparsable(raw, &error));
        Self { raw, fields }
    }

    /// The request is one event.
    pub(super) const fn single(raw: &'a str, fields: Result<Fields<'a>, DecodeError>) -> Self {
        Self { raw, fields }
    }

    pub(super) fn anonymous_id(&self) -> Option<&str> {
        let fields = self.fields.as_ref().ok()?;
        fields.anonymous_id.as_str().filter(|id| !id.is_empty())
    }

    /// Makes it bad where it holds what is no text; says how many such places it has.
    pub(super) fn mark(&mut self, salvaged: &Salvaged) -> usize {
        let (faults, first) = salvaged.faults_of(self.raw);
        if let Some(at) = first {
            self.fields = Err(DecodeError::NotText { at });
        }
        faults
    }

    /// The second pass.
    pub(super) fn decode(self, limits: &Limits, shared: &Shared<'a>) -> Decoded<'a> {
        match self.fields {
            Ok(fields) => decode(self.raw, fields, limits, shared),
            Err(error) => Decoded {
                raw: self.raw,
                message_id: None,
                hit: Err(error),
            },
        }
    }
}

/// Well-formed JSON that is no object, or holds a value that cannot be represented.
pub(super) fn unparsable(raw: &str, error: &serde_json::Error) -> DecodeError {
    let path = "$";
    if error.is_data() {
        let expected = "an object";
        DecodeError::WrongType { path, expected }
    } else if object::deeper_than(raw, DEPTH_MAX) {
        let max = DEPTH_MAX;
        DecodeError::TooDeep { path, max }
    } else {
        let at = error.column();
        DecodeError::BadValue { path, at }
    }
}

/// Judges the first pass's fields.
fn decode<'a>(
    raw: &'a str,
    fields: Fields<'a>,
    limits: &Limits,
    shared: &Shared<'a>,
) -> Decoded<'a> {
    let message_id = scalar::id(fields.message_id.clone(), "messageId", MESSAGE_ID_BYTES_MAX);
    let for_row = message_id.clone().unwrap_or_default();
    let max = limits.event_bytes_max;
    // Before the two become one: a large context would be copied for each event of the batch.
    let with_lent = raw.len().saturating_add(shared.context_bytes);
    let hit = if raw.len() > max {
        let bytes = raw.len();
        Err(DecodeError::TooLarge { bytes, max })
    } else if with_lent > max {
        let bytes = with_lent;
        Err(DecodeError::TooLargeInBatch { bytes, max })
    } else {
        message_id.and_then(|message_id| hit(fields, message_id, shared))
    };
    Decoded {
        raw,
        message_id: for_row,
        hit,
    }
}

fn hit<'a>(
    fields: Fields<'a>,
    message_id: Option<Cow<'a, str>>,
    shared: &Shared<'a>,
) -> Result<Hit<'a>, DecodeError> {
    let kind = kind(&fields.kind)?;
    let anonymous_id = scalar::id(fields.anonymous_id, "anonymousId", ID_BYTES_MAX)?;
    let user_id = scalar::id(fields.user_id, "userId", ID_BYTES_MAX)?;
    let previous_id = scalar::id(fields.previous_id, "previousId", ID_BYTES_MAX)?;
    let group_id = scalar::id(fields.group_id, "groupId", ID_BYTES_MAX)?;
    let (occurred_at, timestamp_as_sent) =
        occurred_at(fields.original_timestamp, fields.timestamp)?;
    let sent_at = match (scalar::time(&fields.sent_at, "sentAt")?, &shared.sent_at) {
        (None, Some(batch)) => scalar::time(batch, "sentAt")?,
        (own, _) => own,
    };
    let properties = object::read(fields.properties, "properties")?.unwrap_or_else(Object::empty);
    let name = name(kind, fields.event, fields.name, &properties)?;
    require(kind, previous_id.as_deref(), group_id.as_deref())?;
    let mut context = context(object::read(fields.context, "context")?, shared);
    let traits = match object::read(fields.traits, "traits")? {
        Some(traits) => traits,
        None => context_traits(&context)?,
    };
    if let Some(group_id) = group_id {
        add_group(&mut context, group_id);
    }
    Ok(Hit {
        kind,
        name,
        message_id,
        anonymous_id,
        user_id,
        previous_id,
        occurred_at,
        sent_at,
        timestamp_as_sent,
        server_channel: shared.server_channel || is_server(&fields.channel),
        consent_signal: TagConsent::read(&context.value)
            .map(|signal| signal != TagConsent::Refused),
        context,
        properties,
        traits,
    })
}

/// Whether `channel` says that a back end sent it.
pub(super) fn is_server(channel: &Json<'_>) -> bool {
    channel.as_str() == Some("server")
}

fn kind(value: &Json<'_>) -> Result<EventType, DecodeError> {
    match value {
        Json::Str(word) if word.is_empty() => Err(DecodeError::Missing { path: "type" }),
        Json::Str(word) => EventType::parse(word).ok_or(DecodeError::UnknownType),
        Json::Null => Err(DecodeError::Missing { path: "type" }),
        Json::Bool(_) | Json::Int(_) | Json::Float(_) | Json::Array(_) | Json::Object(_) => {
            let (path, expected) = ("type", "a string");
            Err(DecodeError::WrongType { path, expected })
        }
    }
}

type Occurred<'a> = (Option<tidegate_event::Timestamp>, Option<Cow<'a, str>>);

/// `originalTimestamp`, else `timestamp`: RudderStack sends the first, Segment the second.
fn occurred_at<'a>(original: Json<'a>, timestamp: Json<'a>) -> Result<Occurred<'a>, DecodeError> {
    let at = scalar::time(&original, "originalTimestamp")?;
    if at.is_some() {
        return Ok((at, scalar::as_sent(original)));
    }
    let at = scalar::time(&timestamp, "timestamp")?;
    let text = at.and_then(|_| scalar::as_sent(timestamp));
    Ok((at, text))
}

fn name<'a>(
    kind: EventType,
    event: Json<'a>,
    name: Json<'a>,
    properties: &Object<'a>,
) -> Result<Cow<'a, str>, DecodeError> {
    match kind {
        EventType::Track => scalar::text(event, "event")?
            .filter(|event| !event.is_empty())
            .ok_or(DecodeError::Missing { path: "event" }),
        EventType::Page | EventType::Screen => Ok(
            match (scalar::text(name, "name")?, properties.value.get("name")) {
                (Some(name), _) => name,
                (None, Some(Json::Str(name))) => name.clone(),
                (None, _) => Cow::Borrowed(""),
            },
        ),
        EventType::Identify | EventType::Group | EventType::Alias => Ok(Cow::Borrowed("")),
    }
}

fn require(
    kind: EventType,
    previous_id: Option<&str>,
    group_id: Option<&str>,
) -> Result<(), DecodeError> {
    match kind {
        EventType::Alias if previous_id.is_none() => {
            Err(DecodeError::Missing { path: "previousId" })
        }
        EventType::Group if group_id.is_none() => Err(DecodeError::Missing { path: "groupId" }),
        EventType::Track
        | EventType::Page
        | EventType::Screen
        | EventType::Identify
        | EventType::Group
        | EventType::Alias => Ok(()),
    }
}

/// The event's context laid over the batch's, member by member.
fn context<'a>(own: Option<Object<'a>>, shared: &Shared<'a>) -> Object<'a> {
    match (own, &shared.context) {
        (Some(own), None) => own,
        (None, Some(batch)) => batch.clone(),
        (None, None) => Object::empty(),
        (Some(own), Some(batch)) => overlay(own, batch),
    }
}

fn overlay<'a>(own: Object<'a>, batch: &Object<'a>) -> Object<'a> {
    let (Json::Object(lent), Json::Object(members)) = (&batch.value, own.value) else {
        return batch.clone();
    };
    if members.is_empty() {
        return batch.clone();
    }
    let is_lent = |key: &str| members.iter().all(|(own, _)| own != key);
    let mut raw = Vec::with_capacity(own.raw.len() + batch.raw.len());
    if Members::split(&batch.raw).write_open(&mut raw, is_lent) {
        raw.push(b',');
        raw.extend_from_slice(own.raw.as_bytes().get(1..).unwrap_or(b"}"));
    } else {
        return Object {
            raw: own.raw,
            value: Json::Object(members),
        };
    }
    let mut value: Vec<_> = lent
        .iter()
        .filter(|(key, _)| is_lent(key))
        .cloned()
        .collect();
    value.extend(members);
    Object {
        raw: text_of(raw),
        value: Json::Object(value),
    }
}

/// Made of whole members of UTF-8 text.
fn text_of<'a>(raw: Vec<u8>) -> Cow<'a, str> {
    Cow::Owned(String::from_utf8(raw).expect("members of UTF-8 text join to UTF-8"))
}

/// `context.traits`, which Segment's and RudderStack's server libraries use outside of identify.
fn context_traits<'a>(context: &Object<'a>) -> Result<Object<'a>, DecodeError> {
    let value = match context.value.get("traits") {
        None | Some(Json::Null) => return Ok(Object::empty()),
        Some(value @ Json::Object(_)) => value.clone(),
        Some(_) => {
            let (path, expected) = ("context.traits", "an object");
            return Err(DecodeError::WrongType { path, expected });
        }
    };
    let raw = match &context.raw {
        Cow::Borrowed(raw) => Members::split(raw).get("traits").map(Cow::Borrowed),
        Cow::Owned(raw) => Members::split(raw)
            .get("traits")
            .map(|text| Cow::Owned(text.to_owned())),
    };
    let raw = raw.unwrap_or(Cow::Borrowed("{}"));
    Ok(Object { raw, value })
}

/// A group's id has no member of its own in the record: it goes to `context.groupId`, where the
/// Segment spec puts it for the other calls.
fn add_group<'a>(context: &mut Object<'a>, group_id: Cow<'a, str>) {
    if context.value.get("groupId").is_some() {
        return;
    }
    let Json::Object(members) = &mut context.value else {
        return;
    };
    let mut raw = Vec::with_capacity(context.raw.len() + group_id.len() + 16);
    raw.extend_from_slice(b"{\"groupId\":");
    write_str(&mut raw, &group_id);
    raw.push(if members.is_empty() { b'}' } else { b',' });
    if !members.is_empty() {
        raw.extend_from_slice(context.raw.as_bytes().get(1..).unwrap_or(b"}"));
    }
    members.push((Cow::Borrowed("groupId"), Json::Str(group_id)));
    context.raw = text_of(raw);
}
