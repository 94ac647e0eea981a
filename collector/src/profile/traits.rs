//! Accumulated traits: the newest value of each name. [`fit`] chooses what of an event's traits is
//! kept within the size limit; [`overlay`] lays one object over another.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use tidegate_event::json::write_str;
use tidegate_event::{Json, Timestamp};

/// Traits of a merged profile, bytes of JSON: the most that `profiles.traits_bytes_max` can be set
/// to. The fold must not read settings, so a merge has this limit of its own.
const MERGED_BYTES_MAX: usize = 64 << 10;

/// What is known of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    /// A JSON object.
    pub text: Box<str>,
    /// Time of the newest event that set one. An older event that arrives later only adds members.
    pub set_at: Timestamp,
}

impl Traits {
    /// Lays what an event at `at` sets over `own`.
    pub fn lay_over(own: &mut Option<Box<Self>>, over: &str, at: Timestamp) {
        match own {
            Some(own) => {
                own.text = overlay(Some(&own.text), over);
                own.set_at = own.set_at.max(at);
            }
            None => {
                let text = overlay(None, over);
                *own = Some(Box::new(Self { text, set_at: at }));
            }
        }
    }

    /// Those of two profiles: `own` with the members that only `other` has, as far as they fit.
    #[must_use]
    pub fn merge(own: Option<&Self>, other: &Self) -> Self {
        Self {
            text: merge(own.map_or("{}", |own| &own.text), &other.text),
            set_at: own.map_or(other.set_at, |own| own.set_at.max(other.set_at)),
        }
    }

    /// The members that are not set yet: what an event older than `set_at` may add.
    #[must_use]
    pub fn missing<'a>(&self, sent: &[(Cow<'a, str>, Json<'a>)]) -> Vec<(Cow<'a, str>, Json<'a>)> {
        let own = members(&self.text);
        let own: HashSet<&str> = own.iter().map(|(name, _)| &**name).collect();
        let sent = sent.iter().filter(|(name, _)| !own.contains(&**name));
        sent.cloned().collect()
    }
}

type Members<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// What of an event's traits fits.
#[derive(Debug, PartialEq, Eq)]
pub struct Fitted {
    /// The members to lay over what is stored, as a JSON object.
    pub text: Box<str>,
    /// Members left out; their old values stay.
    pub left_out: usize,
}

/// The members of `over` that can be laid over `base` without the result being larger than
/// `bytes_max`, or larger than it is: removals first, then the smallest members.
#[must_use]
pub fn fit(base: Option<&str>, over: &[(Cow<'_, str>, Json<'_>)], bytes_max: usize) -> Fitted {
    let mut sizes: HashMap<Cow<'_, str>, usize> = HashMap::new();
    for (name, value) in base.map(members).unwrap_or_default() {
        let bytes = member_bytes(&name, &value);
        sizes.insert(name, bytes);
    }
    let mut total: usize = OBJECT_BYTES + sizes.values().sum::<usize>();
    let bytes_max = bytes_max.max(total);
    let newest: HashMap<&str, usize> = over.iter().map(|(name, _)| &**name).zip(0..).collect();
    let mut order: Vec<(bool, usize, usize)> = newest
        .into_values()
        .map(|position| {
            let (name, value) = &over[position];
            let sets = *value != Json::Null;
            (sets, member_bytes(name, value), position)
        })
        .collect();
    order.sort_unstable();
    let mut kept = Vec::with_capacity(order.len());
    let mut left_out = 0;
    for (sets, bytes, position) in order {
        let (name, _) = &over[position];
        let rest = total - sizes.get(name).copied().unwrap_or(0);
        let after = if sets { rest + bytes } else { rest };
        if after <= bytes_max {
            total = after;
            kept.push(position);
        } else {
            left_out += 1;
        }
    }
    kept.sort_unstable();
    let kept: Vec<_> = kept.iter().map(|position| &over[*position]).collect();
    let text = object(kept.iter().map(|(name, value)| (&**name, value)));
    Fitted { text, left_out }
}

/// `own` with the members that only `other` has, as far as they fit.
fn merge(own: &str, other: &str) -> Box<str> {
    let mut theirs = members(other);
    let ours = members(own);
    let names: HashSet<&str> = ours.iter().map(|(name, _)| &**name).collect();
    theirs.retain(|(name, _)| !names.contains(&**name));
    overlay(Some(own), &fit(Some(own), &theirs, MERGED_BYTES_MAX).text)
}

/// `base` with the members of `over` laid over it, both JSON objects; `null` removes a member.
/// Text that is no object counts as empty.
#[must_use]
pub fn overlay(base: Option<&str>, over: &str) -> Box<str> {
    let base = base.map(members).unwrap_or_default();
    let over = members(over);
    let newest: HashMap<&str, usize> = over.iter().map(|(name, _)| &**name).zip(0..).collect();
    let stays = base
        .iter()
        .filter(|(name, _)| !newest.contains_key(&**name));
    let comes = over
        .iter()
        .enumerate()
        .filter(|(position, (name, value))| newest[&**name] == *position && *value != Json::Null)
        .map(|(_, member)| member);
    object(stays.chain(comes).map(|(name, value)| (&**name, value)))
}

/// The braces; each member is counted with a comma.
const OBJECT_BYTES: usize = 2;

fn member_bytes(name: &str, value: &Json<'_>) -> usize {
    let mut out = Vec::new();
    write_str(&mut out, name);
    write(&mut out, value);
    out.len() + 2
}

fn members(text: &str) -> Members<'_> {
    match serde_json::from_str(text) {
        Ok(Json::Object(members)) => members,
        _ => Vec::new(),
    }
}

fn object<'a>(members: impl Iterator<Item = (&'a str, &'a Json<'a>)>) -> Box<str> {
    let mut out = vec![b'{'];
    for (position, (name, value)) in members.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write_str(&mut out, name);
        out.push(b':');
        write(&mut out, value);
    }
    out.push(b'}');
    String::from_utf8(out).unwrap_or_default().into_boxed_str()
}

fn write(out: &mut Vec<u8>, value: &Json<'_>) {
    match value {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Json::Int(value) => out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes()),
        Json::Float(value) => {
            // A double that was read from JSON is finite, so this cannot fail.
            let text = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
            out.extend_from_slice(text.as_bytes());
        }
        Json::Str(text) => write_str(out, text),
        Json::Array(items) => {
            out.push(b'[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Json::Object(members) => {
            out.push(b'{');
            for (position, (key, item)) in members.iter().enumerate() {
                if position > 0 {
                    out.push(b',');
                }
                write_str(out, key);
                out.push(b':');
                write(out, item);
            }
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_of_each_key_stays_and_null_removes() {
        let first = overlay(
            None,
            r#"{"plan":"free","age":42,"address":{"city":"Zürich"}}"#,
        );
        let then = overlay(Some(&first), r#"{"plan":"pro","age":null,"score":1.5}"#);
        assert_eq!(
            &*then,
            r#"{"address":{"city":"Zürich"},"plan":"pro","score":1.5}"#
        );
        assert_eq!(&*overlay(Some("[1]"), "broken"), "{}");
        assert_eq!(
            &*overlay(Some(r#"{"a":1}"#), r#"{"a":2,"a":3}"#),
            r#"{"a":3}"#
        );
    }

    fn fitted(base: &str, over: &str, bytes_max: usize) -> (String, usize) {
        let fitted = fit(Some(base), &members(over), bytes_max);
        (fitted.text.into(), fitted.left_out)
    }

    #[test]
    fn what_results_is_limited_not_the_sum() {
        let base = format!(r#"{{"bio":"{}","plan":"free"}}"#, "x".repeat(60));
        let over = format!(r#"{{"bio":"{}","plan":"pro"}}"#, "x".repeat(60));
        assert_eq!(fitted(&base, &over, 100), (over.clone(), 0));
    }

    #[test]
    fn small_members_are_kept_before_large_ones() {
        let over = format!(r#"{{"bio":"{}","plan":"pro","age":42}}"#, "x".repeat(200));
        let kept = r#"{"plan":"pro","age":42}"#.to_owned();
        assert_eq!(fitted("{}", &over, 100), (kept, 1));
    }

    #[test]
    fn over_the_limit_only_growth_is_refused() {
        let base = format!(r#"{{"bio":"{}","plan":"free"}}"#, "x".repeat(200));
        let (text, left_out) = fitted(&base, r#"{"plan":"pro","more":1}"#, 100);
        assert_eq!((&*text, left_out), (r#"{"plan":"pro"}"#, 1));
        let (text, left_out) = fitted(&base, r#"{"bio":null,"more":1}"#, 100);
        assert_eq!((&*text, left_out), (r#"{"bio":null,"more":1}"#, 0));
    }

    #[test]
    fn merges_cannot_grow_traits_without_limit() {
        let filler = |name: char| format!(r#"{{"{name}":"{}"}}"#, "x".repeat(40 << 10));
        let small = r#"{"plan":"pro"}"#;
        assert_eq!(&*merge(&filler('a'), &filler('b')), filler('a'));
        assert_eq!(
            merge(&filler('a'), small).len(),
            filler('a').len() + small.len() - 1
        );
        assert_eq!(
            &*merge(r#"{"plan":"pro"}"#, r#"{"plan":"free","age":1}"#),
            r#"{"plan":"pro","age":1}"#
        );
    }

    proptest::proptest! {
        #[test]
        fn what_fits_is_never_over_the_limit(
            base in proptest::collection::btree_map("[a-e]", "[a-z\"]{0,30}", 0..5),
            over in proptest::collection::vec(("[a-g]", proptest::option::of("[a-zü]{0,40}")), 0..8),
            bytes_max in 0_usize..160,
        ) {
            let pairs = |(name, value): (&String, &String)| {
                format!("{}:{}", serde_json::json!(name), serde_json::json!(value))
            };
            let base = format!("{{{}}}", base.iter().map(pairs).collect::<Vec<_>>().join(","));
            let over: Vec<_> = over
                .into_iter()
                .map(|(name, value)| {
                    let value = value.map_or(Json::Null, |text| Json::Str(text.into()));
                    (Cow::Owned(name), value)
                })
                .collect();
            let fitted = fit(Some(&base), &over, bytes_max);
            let result = overlay(Some(&base), &fitted.text);
            proptest::prop_assert!(result.len() <= bytes_max.max(base.len() + 1));
        }
    }
}
