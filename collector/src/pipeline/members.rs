//! A JSON object's top-level members as text: what is needed to leave one out or to lay two objects
//! over each other without writing the whole anew. Only for text that was parsed before.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tidegate_event::Json;
use tidegate_event::json::write_str;

/// Name and text of each member, in the order of the text.
#[derive(Debug, Default)]
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Members<'a> {
    /// Splits the text of an object; anything else has no members.
    pub(crate) fn split(object: &'a str) -> Self {
        serde_json::from_str(object).unwrap_or_default()
    }

    /// The text of the last member of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, text)| *text)
    }

    /// Appends the members as an object without its closing brace; true where it has any member.
    pub(crate) fn write_open(&self, out: &mut Vec<u8>, mut keep: impl FnMut(&str) -> bool) -> bool {
        let mut separator = b'{';
        for (key, text) in &self.0 {
            if keep(key) {
                out.push(separator);
                write_str(out, key);
                out.push(b':');
                out.extend_from_slice(text.as_bytes());
                separator = b',';
            }
        }
        if separator == b'{' {
            out.push(b'{');
        }
        separator == b','
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor(std::marker::PhantomData))
    }
}

struct MembersVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for MembersVisitor<'a> {
    type Value = Members<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = map.next_key::<Json<'a>>()? {
            let text = map.next_value::<&'a RawValue>()?.get();
            if let Json::Str(key) = key {
                members.push((key, text));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_text_and_unescape_their_names() {
        let members = Members::split(r#"{ "a" : [1, {"b":2}] , "\u0069p":"x","a":3}"#);
        assert_eq!(members.0[0], ("a".into(), r#"[1, {"b":2}]"#));
        assert_eq!(members.get("ip"), Some("\"x\""));
        assert_eq!(members.get("a"), Some("3"));
        let mut out = Vec::new();
        assert!(members.write_open(&mut out, |key| key != "ip"));
        assert_eq!(out, br#"{"a":[1, {"b":2}],"a":3"#);
        out.clear();
        assert!(!members.write_open(&mut out, |_| false));
        assert_eq!(out, b"{");
    }
}
