//! What a batch says for all its events. Its context is split into members once. Merging an event's
//! own context into it then costs a look-up for each own member and a copy of the lent text.

use std::borrow::Cow;
use std::collections::HashMap;

use tidegate_event::Json;
use tidegate_event::hit::Object;
use tidegate_event::json::write_str;

use super::error::DecodeError;
use crate::consent;
use crate::pipeline::members::Members;

/// What a batch says for all its events; an event's own word wins.
#[derive(Debug, Default)]
pub(crate) struct Shared<'a> {
    /// None also where its text alone is over an event's limit.
    pub(crate) context: Option<LentContext<'a>>,
    /// Of the context's text; 0 where it is no object.
    pub(crate) context_bytes: usize,
    /// The context is one that no event may have.
    pub(crate) refused: Option<DecodeError>,
    pub(crate) sent_at: Option<Json<'a>>,
    pub(crate) server_channel: bool,
}

/// A batch's context, taken apart.
#[derive(Debug)]
pub(crate) struct LentContext<'a> {
    object: Object<'a>,
    /// Each member once, the last of duplicates: its value and its text with its name.
    members: Vec<Member<'a>>,
    by_name: HashMap<Cow<'a, str>, usize>,
}

#[derive(Debug)]
struct Member<'a> {
    name: Cow<'a, str>,
    value: Json<'a>,
    /// With its name.
    text: Box<[u8]>,
}

impl<'a> LentContext<'a> {
    pub(crate) fn new(object: Object<'a>) -> Self {
        let mut members: Vec<Member<'a>> = Vec::new();
        let mut by_name: HashMap<Cow<'a, str>, usize> = HashMap::new();
        if let Json::Object(values) = &object.value {
            let texts = Members::split(&object.raw).0;
            for ((name, value), (key, text)) in values.iter().zip(texts) {
                let mut whole = Vec::with_capacity(key.len() + text.len() + 3);
                write_str(&mut whole, &key);
                whole.push(b':');
                whole.extend_from_slice(text.as_bytes());
                let member = Member {
                    name: name.clone(),
                    value: value.clone(),
                    text: whole.into_boxed_slice(),
                };
                match by_name.get(name).copied() {
                    Some(at) => members[at] = member,
                    None => {
                        by_name.insert(name.clone(), members.len());
                        members.push(member);
                    }
                }
            }
        }
        Self {
            object,
            members,
            by_name,
        }
    }

    /// The event's context laid over it, member by member; and those of its consent signals that
    /// the event's own members replace, which must not hide them.
    pub(crate) fn under(
        &self,
        own: Option<Object<'a>>,
    ) -> (Object<'a>, Vec<(&'static str, Json<'a>)>) {
        let Some(own) = own else {
            return (self.object.clone(), Vec::new());
        };
        let Json::Object(own_members) = own.value else {
            return (self.object.clone(), Vec::new());
        };
        if own_members.is_empty() {
            return (self.object.clone(), Vec::new());
        }
        let mut replaced = vec![false; self.members.len()];
        for (name, _) in &own_members {
            if let Some(flag) = self.by_name.get(name).and_then(|at| replaced.get_mut(*at)) {
                *flag = true;
            }
        }
        let consents = consent::members()
            .filter_map(|name| Some((name, *self.by_name.get(name)?)))
            .filter(|(_, at)| replaced[*at])
            .map(|(name, at)| (name, self.members[at].value.clone()))
            .collect();
        let mut raw = Vec::with_capacity(own.raw.len() + self.object.raw.len());
        let mut value = Vec::with_capacity(own_members.len() + self.members.len());
        raw.push(b'{');
        let lent = self.members.iter().zip(&replaced);
        for (member, _) in lent.filter(|(_, replaced)| !**replaced) {
            raw.extend_from_slice(&member.text);
            raw.push(b',');
            value.push((member.name.clone(), member.value.clone()));
        }
        raw.extend_from_slice(own.raw.as_bytes().get(1..).unwrap_or(b"}"));
        value.extend(own_members);
        let raw = String::from_utf8(raw).expect("members of UTF-8 text join to UTF-8");
        let object = Object {
            raw: Cow::Owned(raw),
            value: Json::Object(value),
        };
        (object, consents)
    }
}
