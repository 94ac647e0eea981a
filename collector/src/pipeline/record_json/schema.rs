//! Holds a record against docs/record.schema.json: the keywords that it uses, and no others. An
//! object that lists its members and does not say `"additionalProperties": true` has no others.

use tidegate_event::Json;

const FILE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../docs/record.schema.json"
));

/// What of `record` the schema does not allow, with paths; empty where it is valid.
pub(crate) fn violations(record: &str) -> Vec<String> {
    let schema: Json<'_> = serde_json::from_str(FILE).unwrap();
    let record: Json<'_> = serde_json::from_str(record).unwrap();
    let mut found = Vec::new();
    check(&schema, &record, "$", &mut found);
    found
}

fn check(schema: &Json<'_>, value: &Json<'_>, path: &str, found: &mut Vec<String>) {
    let Json::Object(keywords) = schema else {
        panic!("{path}: a schema is an object");
    };
    for (keyword, wanted) in keywords {
        let holds = match &**keyword {
            "$schema" | "title" | "additionalProperties" | "then" => true,
            "type" => each(wanted).iter().any(|name| is(value, name)),
            "const" => value == wanted,
            "enum" => each(wanted).contains(&value),
            "minimum" => {
                !matches!((value, wanted), (Json::Int(is), Json::Int(least)) if is < least)
            }
            "format" => value.as_str().is_none_or(|text| has_format(text, wanted)),
            "required" => each(wanted).iter().all(|name| {
                let absent = || value.get(name.as_str().unwrap()).is_none();
                !(matches!(value, Json::Object(_)) && absent())
            }),
            "properties" => {
                members(schema, wanted, value, path, found);
                true
            }
            "items" => {
                for item in each(value) {
                    check(wanted, item, &format!("{path}[]"), found);
                }
                true
            }
            "if" => {
                let mut unmet = Vec::new();
                check(wanted, value, path, &mut unmet);
                if let (true, Some(then)) = (unmet.is_empty(), schema.get("then")) {
                    check(then, value, path, found);
                }
                true
            }
            unknown => panic!("{path}: this test does not know {unknown:?}"),
        };
        if !holds {
            found.push(format!("{path} is not of {keyword} {wanted:?}: {value:?}"));
        }
    }
}

fn members(
    schema: &Json<'_>,
    known: &Json<'_>,
    value: &Json<'_>,
    path: &str,
    found: &mut Vec<String>,
) {
    let Json::Object(members) = value else {
        return;
    };
    // A condition, or what it asks for, only names some members.
    let partial = schema.get("type").is_none();
    let open = partial || schema.get("additionalProperties") == Some(&Json::Bool(true));
    for (name, member) in members {
        let path = format!("{path}.{name}");
        match known.get(name) {
            Some(schema) => check(schema, member, &path, found),
            None if open => {}
            None => found.push(format!("{path} is not in the schema")),
        }
    }
}

/// The items of an array, or the one value.
fn each<'a, 'j>(json: &'a Json<'j>) -> Vec<&'a Json<'j>> {
    match json {
        Json::Array(items) => items.iter().collect(),
        one => vec![one],
    }
}

fn is(value: &Json<'_>, name: &Json<'_>) -> bool {
    match name.as_str().unwrap() {
        "object" => matches!(value, Json::Object(_)),
        "array" => matches!(value, Json::Array(_)),
        "string" => matches!(value, Json::Str(_)),
        "integer" => matches!(value, Json::Int(_)),
        "boolean" => matches!(value, Json::Bool(_)),
        "null" => matches!(value, Json::Null),
        unknown => panic!("this test does not know the type {unknown:?}"),
    }
}

fn has_format(text: &str, format: &Json<'_>) -> bool {
    match format.as_str().unwrap() {
        "date-time" => tidegate_event::Timestamp::parse_rfc3339(text).is_some(),
        "uuid" => {
            let lengths: Vec<_> = text.split('-').map(str::len).collect();
            lengths == [8, 4, 4, 4, 12]
        }
        unknown => panic!("this test does not know the format {unknown:?}"),
    }
}

#[test]
fn a_member_that_is_not_in_the_schema_is_found() {
    let record = r#"{"journal":"j","offset":-1,"schema":1,"generation":1,"decided_at":"now",
        "message_id":"m","type":"system","event":"odd","source":null,"profile_id":null,
        "anonymous_id":null,"user_id":null,"event_time":"2026-01-01T00:00:00Z","more":1,
        "transitions":[{"segment":"s","change":"enter"}]}"#;
    let found = violations(record);
    for part in [
        "$.offset",
        "$.decided_at",
        "$.event ",
        "$.more",
        "$.transitions[]",
    ] {
        assert!(
            found.iter().any(|one| one.starts_with(part)),
            "{part}: {found:?}"
        );
    }
    assert_eq!(found.len(), 5, "{found:?}");
}
