//! One event's rules: which members each call needs, and what a batch lends to its events.

use std::borrow::Cow;

use tidegate_event::hit::Object;
use tidegate_event::json::write_str;
use tidegate_event::{EventType, Hit, Json, Sealed, SentIds};

use super::error::DecodeError;
use super::fields::Fields;
use super::lent::Shared;
use super::{DEPTH_MAX, Decoded, Limits, MESSAGE_ID_BYTES_MAX, Salvaged, object, scalar};
use crate::identity::kinds::{ANONYMOUS_ID, ID_BYTES_MAX, USER_ID};
use crate::pipeline::members::Members;

/// One event after the first pass.
#[derive(Debug)]
pub(crate) struct Sent<'a> {
    /// Its text as sent, or written by its protocol.
    raw: Cow<'a, str>,
    fields: Result<Fields<'a>, DecodeError>,
    /// Why it is refused although its fields could be read.
    fault: Option<DecodeError>,
}

impl<'a> Sent<'a> {
    /// Reads one element of a batch; `raw` is well-formed JSON.
    pub(crate) fn element(raw: &'a str) -> Self {
        let fields = Fields::read(raw, 0)
            .or_else(|_| Fields::read_mended(raw, 0))
            .map_err(|error| unparsable(raw, &error));
        Self::single(Cow::Borrowed(raw), fields)
    }

    /// An event of these fields. `raw` is JSON whatever the protocol: its length is the event's size,
    /// and a bad row keeps it, masked by the names of its members.
    pub(crate) const fn single(raw: Cow<'a, str>, fields: Result<Fields<'a>, DecodeError>) -> Self {
        Self {
            raw,
            fields,
            fault: None,
        }
    }

    pub(crate) fn anonymous_id(&self) -> Option<&str> {
        let fields = self.fields.as_ref().ok()?;
        fields.anonymous_id.as_str().filter(|id| !id.is_empty())
    }

    /// Makes it bad where it holds what is no text or no JSON; returns how many such places it has.
    pub(crate) fn mark(&mut self, salvaged: &Salvaged) -> usize {
        let (faults, first) = salvaged.faults_of(&self.raw);
        self.fault = first;
        faults
    }

    /// The second pass. `lent_bytes`: what the batch lent to this event and those before it.
    pub(crate) fn decode(
        self,
        limits: &Limits,
        shared: &Shared<'a>,
        lent_bytes: usize,
    ) -> Decoded<'a> {
        let raw = self.raw;
        let bytes = raw.len().saturating_add(shared.context_bytes);
        let (message_id, hit) = match self.fields {
            Ok(fields) => {
                let id = fields.message_id.clone();
                let id = scalar::id(id, "messageId", MESSAGE_ID_BYTES_MAX);
                let for_row = id.clone().unwrap_or_default();
                let fault = self
                    .fault
                    .or_else(|| refused(&raw, limits, shared, lent_bytes));
                let hit = match (fault, id) {
                    (Some(error), _) | (None, Err(error)) => Err(error),
                    (None, Ok(id)) => hit(fields, id, limits, shared),
                };
                (for_row, hit)
            }
            Err(error) => (None, Err(self.fault.unwrap_or(error))),
        };
        Decoded {
            raw,
            bytes,
            message_id,
            hit,
        }
    }
}

/// What makes an event too large, before anything is copied for it.
fn refused(
    raw: &str,
    limits: &Limits,
    shared: &Shared<'_>,
    lent_bytes: usize,
) -> Option<DecodeError> {
    let max = limits.event_bytes_max;
    let with_lent = raw.len().saturating_add(shared.context_bytes);
    if raw.len() > max {
        let bytes = raw.len();
        Some(DecodeError::TooLarge { bytes, max })
    } else if with_lent > max {
        let bytes = with_lent;
        Some(DecodeError::TooLargeInBatch { bytes, max })
    } else if lent_bytes > limits.lent_bytes_max {
        let max = limits.lent_bytes_max;
        Some(DecodeError::LendsTooMuch { max })
    } else {
        shared.refused.clone()
    }
}

/// Well-formed JSON that is no object, or holds a value that cannot be represented.
pub(crate) fn unparsable(raw: &str, error: &serde_json::Error) -> DecodeError {
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

fn hit<'a>(
    fields: Fields<'a>,
    message_id: Option<Cow<'a, str>>,
    limits: &Limits,
    shared: &Shared<'a>,
) -> Result<Hit<'a>, DecodeError> {
    let members_max = limits.members_max;
    let kind = kind(&fields.kind)?;
    let anonymous_id = scalar::id(
        fields.anonymous_id,
        ANONYMOUS_ID.member,
        ANONYMOUS_ID.bytes_max,
    )?;
    let user_id = scalar::id(fields.user_id, USER_ID.member, USER_ID.bytes_max)?;
    let previous_id = scalar::id(fields.previous_id, "previousId", ANONYMOUS_ID.bytes_max)?;
    let group_id = scalar::id(fields.group_id, "groupId", ID_BYTES_MAX)?;
    let (occurred_at, timestamp_as_sent) =
        occurred_at(fields.original_timestamp, fields.timestamp)?;
    // It only corrects the client's clock: one that is no time says nothing, and costs nothing.
    let sent_at = [Some(&fields.sent_at), shared.sent_at.as_ref()]
        .into_iter()
        .flatten()
        .find_map(|said| scalar::time(said, "sentAt").ok().flatten());
    let properties =
        object::read(fields.properties, "properties", members_max)?.unwrap_or_else(Object::empty);
    let name = name(kind, fields.event, fields.name, &properties)?;
    require(kind, previous_id.as_deref(), group_id.as_deref())?;
    let own = object::read(fields.context, "context", members_max)?;
    let (mut context, lent_consents) = match &shared.context {
        Some(lent) => lent.under(own),
        None => (own.unwrap_or_else(Object::empty), Vec::new()),
    };
    let traits = match object::read(fields.traits, "traits", members_max)? {
        Some(traits) => traits,
        None => context_traits(&context)?,
    };
    if let Some(group_id) = group_id {
        add_group(&mut context, group_id);
    }
    let ids = SentIds {
        anonymous_id,
        user_id,
        previous_id,
    };
    Ok(Hit {
        kind,
        name,
        message_id,
        ids: Sealed::new(ids),
        occurred_at,
        sent_at,
        timestamp_as_sent,
        server_channel: shared.server_channel || is_server(&fields.channel),
        lent_consents,
        context,
        properties,
        traits,
    })
}

/// Whether `channel` says that a back end sent it.
pub(crate) fn is_server(channel: &Json<'_>) -> bool {
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

/// `originalTimestamp`, else `timestamp`: RudderStack sends the first, Segment the second. A bad one
/// does not hide a good one.
fn occurred_at<'a>(original: Json<'a>, timestamp: Json<'a>) -> Result<Occurred<'a>, DecodeError> {
    let first = scalar::time(&original, "originalTimestamp");
    if let Ok(at @ Some(_)) = first {
        return Ok((at, scalar::as_sent(original)));
    }
    match scalar::time(&timestamp, "timestamp")? {
        Some(at) => Ok((Some(at), scalar::as_sent(timestamp))),
        None => first.map(|_| (None, None)),
    }
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

/// Made of whole members of UTF-8 text.
fn text_of<'a>(raw: Vec<u8>) -> Cow<'a, str> {
    Cow::Owned(String::from_utf8(raw).expect("members of UTF-8 text join to UTF-8"))
}

/// `context.traits`, which Segment's and RudderStack's server libraries use outside of identify.
fn context_traits<'a>(context: &Object<'a>) -> Result<Object<'a>, DecodeError> {
    let value = match context.value.get("traits") {
        None | Some(Json::Null) => return Ok(Object::empty()),
        Some(Json::Array(items)) if items.is_empty() => return Ok(Object::empty()),
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
