//! One event's parameters as its fields, and the event as text.

use std::borrow::Cow;

use serde_json::value::RawValue;
use tidegate_event::Json;
use tidegate_event::json::write_str;

use crate::pipeline::decode::{Fields, Sent};

/// What was read so far. Of parameters that come twice the last one counts, as it does for members
/// of JSON.
#[derive(Debug, Default)]
pub(super) struct Parameters<'a> {
    fields: Fields<'a>,
    /// The parameters taken, as the members of a JSON object that is still open. An event's size is
    /// measured by it, and a bad row keeps it.
    text: Vec<u8>,
}

impl<'a> Parameters<'a> {
    /// Takes one parameter with a value, where its name is known.
    pub(super) fn take(&mut self, name: &str, value: Cow<'a, str>) {
        if let Some(field) = text_field(&mut self.fields, name) {
            member(&mut self.text, name);
            write_str(&mut self.text, &value);
            *field = Json::Str(value);
        } else if let Some(field) = object_field(&mut self.fields, name) {
            member(&mut self.text, name);
            *field = Some(
                if let Ok(json) = serde_json::from_str::<&RawValue>(&value) {
                    self.text.extend_from_slice(value.as_bytes());
                    Cow::Owned(json.to_owned())
                } else {
                    write_str(&mut self.text, &value);
                    // Any value that is no object makes the event bad, with this field's name.
                    Cow::Borrowed(RawValue::FALSE)
                },
            );
        }
    }

    /// The event; None without a known parameter.
    pub(super) fn sent(mut self) -> Option<Sent<'a>> {
        if self.text.is_empty() {
            return None;
        }
        if self.fields.kind == Json::Null {
            let is_page = self.fields.event == Json::Null;
            let kind = Cow::Borrowed(if is_page { "page" } else { "track" });
            self.take("type", kind);
        }
        self.text.push(b'}');
        let text = String::from_utf8(self.text).expect("JSON of UTF-8 text is UTF-8");
        Some(Sent::single(text.into(), Ok(self.fields)))
    }
}

/// Begins a member.
fn member(text: &mut Vec<u8>, name: &str) {
    text.push(if text.is_empty() { b'{' } else { b',' });
    write_str(text, name);
    text.push(b':');
}

fn text_field<'f, 'a>(fields: &'f mut Fields<'a>, name: &str) -> Option<&'f mut Json<'a>> {
    Some(match name {
        "type" => &mut fields.kind,
        "event" => &mut fields.event,
        "name" => &mut fields.name,
        "anonymousId" => &mut fields.anonymous_id,
        "userId" => &mut fields.user_id,
        "previousId" => &mut fields.previous_id,
        "groupId" => &mut fields.group_id,
        "messageId" => &mut fields.message_id,
        "timestamp" => &mut fields.timestamp,
        "originalTimestamp" => &mut fields.original_timestamp,
        "sentAt" => &mut fields.sent_at,
        "channel" => &mut fields.channel,
        _ => return None,
    })
}

fn object_field<'f, 'a>(
    fields: &'f mut Fields<'a>,
    name: &str,
) -> Option<&'f mut Option<Cow<'a, RawValue>>> {
    Some(match name {
        "context" => &mut fields.context,
        "properties" => &mut fields.properties,
        "traits" => &mut fields.traits,
        _ => return None,
    })
}
