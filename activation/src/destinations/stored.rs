//! The stored form of a kind: `{"KIND":{"KEY":VALUE,...}}`, with the keys in their declared order.
//! Catalogs are stored and digested in it, so it must not change for a kind that was released.

use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value as Json;

use super::declaration::{Form, Key};
use super::find;
use super::kind::{DestinationKind, Value};
use crate::settings::Secret;

impl Serialize for DestinationKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.name(), &Fields(self))?;
        map.end()
    }
}

struct Fields<'a>(&'a DestinationKind);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.values() {
            match value {
                Value::Text(text) => map.serialize_entry(key.stored, text)?,
                Value::Number(number) => map.serialize_entry(key.stored, number)?,
                Value::Secrets(secrets) => {
                    let mut secrets = secrets.iter().map(Secret::expose);
                    map.serialize_entry(key.stored, secrets.next().unwrap_or_default())?;
                    let others: Vec<_> = secrets.collect();
                    // Left out where there are none: so it was before there could be any.
                    if let (Form::Secrets { further, .. }, false) = (&key.form, others.is_empty()) {
                        map.serialize_entry(further, &others)?;
                    }
                }
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for DestinationKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, BTreeMap<String, Json>>::deserialize(deserializer)?;
        let mut kinds = map.into_iter();
        let (Some((name, fields)), None) = (kinds.next(), kinds.next()) else {
            return Err(D::Error::custom("expected one kind of destination"));
        };
        let unknown = || D::Error::custom(format!("unknown kind of destination {name:?}"));
        let declaration = find(&name).ok_or_else(unknown)?;
        let mut missing = "";
        let read = Self::read(declaration, |key| {
            let value = value(key, &fields);
            if value.is_none() {
                missing = key.stored;
            }
            value
        });
        read.ok_or_else(|| D::Error::custom(format!("missing or malformed {missing:?}")))
    }
}

fn value(key: &Key, fields: &BTreeMap<String, Json>) -> Option<Value> {
    let given = fields.get(key.stored);
    match (&key.form, given) {
        (Form::Text { .. }, given) => Some(Value::from(given?.as_str()?)),
        (Form::Number { .. } | Form::Duration { .. }, Some(number)) => {
            Some(Value::Number(number.as_u64()?))
        }
        (Form::Number { default, .. } | Form::Duration { default, .. }, None) => {
            Some(Value::Number(*default))
        }
        (Form::Secrets { further, .. }, given) => {
            let others = match fields.get(*further) {
                Some(list) => list.as_array()?.as_slice(),
                None => &[],
            };
            let all = std::iter::once(given?).chain(others);
            let secrets = all.map(|one| one.as_str().map(Secret::new));
            Some(Value::Secrets(secrets.collect::<Option<_>>()?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::webhook;
    use super::*;

    const STORED: &str = r#"{"webhook":{"url":"https://x.example/","secret":"whsec_a","rps":1000,"concurrency":64,"timeout_ms":15000}}"#;

    #[test]
    fn the_stored_form_does_not_change() {
        let mut kind = webhook::kind("https://x.example/", "whsec_a");
        assert_eq!(serde_json::to_string(&kind).unwrap(), STORED);
        assert_eq!(
            serde_json::from_str::<DestinationKind>(STORED).unwrap(),
            kind
        );
        let both = vec![Secret::new("whsec_a"), Secret::new("whsec_b")];
        kind.set("secret", Value::Secrets(both));
        let stored = serde_json::to_string(&kind).unwrap();
        assert!(
            stored.contains(r#""secret":"whsec_a","further_secrets":["whsec_b"],"rps""#),
            "{stored}"
        );
        assert_eq!(
            serde_json::from_str::<DestinationKind>(&stored).unwrap(),
            kind
        );
    }

    #[test]
    fn what_is_no_known_kind_is_refused() {
        for (stored, error) in [
            (
                r#"{"pigeon":{}}"#,
                r#"unknown kind of destination "pigeon""#,
            ),
            (
                r#"{"webhook":{"secret":"a"}}"#,
                r#"missing or malformed "url""#,
            ),
            ("{}", "expected one kind"),
        ] {
            let refused = serde_json::from_str::<DestinationKind>(stored).unwrap_err();
            assert!(refused.to_string().contains(error), "{refused}");
        }
    }
}
