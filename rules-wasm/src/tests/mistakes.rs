//! What authors are told: every mistake, in its place, with a hint.

use super::support::{mistakes, sources};
use crate::{Mistake, SegmentSource, compile};

/// (line, column, words of the message) of each mistake.
fn told(expression: &str, expected: &[(u32, u32, &str)]) {
    let found = mistakes(expression);
    let texts: Vec<String> = found
        .iter()
        .map(|(line, column, mistake)| format!("{line}:{column} {mistake}"))
        .collect();
    assert_eq!(found.len(), expected.len(), "{expression}: {texts:?}");
    for ((line, column, words), text) in expected.iter().zip(&texts) {
        assert!(
            text.starts_with(&format!("{line}:{column} ")),
            "{expression}: {text}"
        );
        assert!(text.contains(words), "{expression}: {text}");
    }
}

#[test]
fn unknown_names_come_with_a_guess() {
    told(
        "page.pth == \"/\"",
        &[(1, 6, "there is no field page.pth; did you mean path?")],
    );
    told(
        "sesion.events > 1",
        &[(1, 8, "no field sesion.events; did you mean session?")],
    );
    told("device.klass == \"tv\"", &[(1, 8, "did you mean class?")]);
    told(
        "zzzzzzzz.q == 1",
        &[(1, 10, "there is no field zzzzzzzz.q")],
    );
    told(
        "page.host == \"x\"",
        &[(
            1,
            6,
            "no field page.host; known here: url, path, title, search, referrer, referrer_host",
        )],
    );
    told(
        "cout(true, \"1h\") > 1",
        &[(1, 1, "no function cout; did you mean count?")],
    );
    told(
        "page.path.startswith(\"/\")",
        &[(1, 11, "did you mean startsWith?")],
    );
    told(
        "page == \"/\"",
        &[(1, 1, "page is a group of fields; name one, as in page.path")],
    );
    told("properties == 1", &[(1, 1, "as in properties.price")]);
}

#[test]
fn every_mistake_is_told_at_once_in_its_place() {
    told(
        "page.path > 3 &&\n  geo.cuntry == \"US\" ||\n    session.events == \"é\" && nope",
        &[
            (1, 11, "> cannot take a string and an int"),
            (2, 7, "did you mean country?"),
            (3, 20, "== cannot take an int and a string"),
            (3, 30, "there is no field nope"),
        ],
    );
    told(
        "page.title == \"größe\" && page.path > 3",
        &[(1, 36, "> cannot take")],
    );
    let errors = compile(&sources(&["page.path > 3", "true", "geo.x == 1"])).unwrap_err();
    let segments: Vec<&str> = errors.iter().map(|error| &*error.segment).collect();
    assert_eq!(segments, ["s0", "s2"]);
    assert_eq!(
        errors[1].to_string(),
        "segment \"s2\", line 1, column 5: there is no field geo.x; known here: country, city, asn"
    );
}

#[test]
fn types_that_are_known_are_checked() {
    told(
        "session.events",
        &[(1, 9, "a segment must be a yes or no (bool), not an int")],
    );
    told(
        "page.path && true",
        &[(1, 6, "each side of && and || must be a bool, not a string")],
    );
    told("!page.path", &[(1, 7, "the operand of ! must be a bool")]);
    told(
        "page.path + \"x\" == \"y\"",
        &[(1, 11, "strings cannot be joined")],
    );
    told(
        "device.bot > 1",
        &[(1, 12, "> cannot take a bool and an int")],
    );
    told(
        "5.5 % 2.0 == 1.5",
        &[(1, 5, "% cannot take a double and a double")],
    );
    told(
        "-page.path == 1",
        &[(1, 1, "the operand of - must be a number")],
    );
    told(
        "session.events.contains(\"1\")",
        &[(1, 16, "must be a string, not an int")],
    );
    told(
        "size(session.events) > 1",
        &[(1, 1, "must be a string, not an int")],
    );
    told(
        "(true ? 1 : \"a\") == 1",
        &[(1, 7, "both branches must have one type")],
    );
    told(
        "now - profile.last_seen > 7",
        &[(1, 25, "write a duration as in duration(\"7d\")")],
    );
    told(
        "now > \"2026-01-01\"",
        &[(1, 5, "write a time as in timestamp(")],
    );
    told(
        "properties.at < now",
        &[(1, 15, "< cannot take a dynamic and a timestamp")],
    );
    told(
        "sum(page.path, true, \"1h\") > 1.0",
        &[(1, 10, "what is summed must be a number")],
    );
}

#[test]
fn what_the_subset_leaves_out_is_named() {
    told(
        "page.path.matches(\"a.*\")",
        &[(1, 11, "regular expressions are not supported")],
    );
    told(
        "[1, 2].exists(x, x == 1)",
        &[(1, 8, "a loop over a list cannot be used")],
    );
    told("properties.x == null", &[(1, 17, "null is not supported")]);
    told("session.events == 3u", &[(1, 19, "an unsigned number")]);
    told("page.path == b\"x\"", &[(1, 14, "a bytes literal")]);
    told("{\"a\": 1} == 1", &[(1, 1, "a map cannot be used here")]);
    told(
        "page.path in geo.country",
        &[(1, 18, "in takes a list of literals")],
    );
    told("page.path in []", &[(1, 14, "in takes a list of literals")]);
    told(
        "properties.x in [1, \"a\"]",
        &[(1, 17, "literals of one type")],
    );
    told(
        "properties.x in [page.path]",
        &[(1, 17, "in takes a list of literals")],
    );
    told(
        "page.path.contains(page.title)",
        &[(1, 25, "contains takes a string literal")],
    );
    told(
        "properties[0] == 1",
        &[(1, 12, "a key must be a string literal")],
    );
    told("has(page)", &[(1, 5, "has takes one field")]);
    told("has(properties[1])", &[(1, 15, "has takes one field")]);
}

#[test]
fn aggregates_are_checked() {
    told(
        "count(session.events > 1, \"1h\") > 1",
        &[(1, 15, "it cannot read session.events")],
    );
    told(
        "count(now > timestamp(\"2026-01-01T00:00:00Z\")) > 1",
        &[(1, 7, "it cannot read now")],
    );
    told(
        "count(count(true) > 1, \"1h\") > 1",
        &[(1, 7, "count cannot stand within another")],
    );
    told(
        "count() > 1",
        &[(1, 1, "count takes a condition and a window")],
    );
    told(
        "sum(1, true) > 1.0",
        &[(1, 1, "sum takes a number, a condition and a window")],
    );
    told(
        "count(true, \"1 day\") > 1",
        &[(1, 13, "a duration is whole numbers with units")],
    );
    told(
        "count(true, \"0s\") > 1",
        &[(1, 13, "a window must be longer than 0")],
    );
    told(
        "count(true, 30) > 1",
        &[(1, 13, "a window takes a string literal")],
    );
    told(
        "count(\"Order Completed\", \"30d\") >= 2",
        &[(1, 7, "write event.name == \"Order Completed\"")],
    );
    told(
        "absent(\"Order Completed\", event.name == \"A\", \"20m\")",
        &[(1, 8, "write event.name == \"Order Completed\"")],
    );
    told(
        "count(page.path, \"1h\") > 1",
        &[(1, 12, "a condition of an aggregate must be a bool")],
    );
    told(
        "now - last(true) > duration(\"soon\")",
        &[(1, 20, "a duration is")],
    );
    told(
        "now > timestamp(\"soon\")",
        &[(1, 7, "a timestamp is written as in")],
    );
}

#[test]
fn a_comparison_whose_change_cannot_be_timed_is_refused() {
    for when in [
        "now - last(true) > now - first(false) + duration(\"1h\") - (first(true) - now)",
        "now - last(true) > last(true) - first(false)",
        "(device.bot ? now : last(true)) > first(true)",
    ] {
        let found = mistakes(when);
        assert!(
            matches!(found[..], [(1, _, Mistake::Now)]),
            "{when}: {found:?}"
        );
    }
}

#[test]
fn text_that_is_no_cel_says_where_it_ends_to_be() {
    told("page.path ==", &[(1, 13, "mismatched input end of text")]);
    told("(page.path == \"a\"", &[(1, 18, "end of text")]);
    told("", &[(1, 1, "the expression is empty; write one")]);
    told(" \n", &[(1, 1, "the expression is empty")]);
    assert!(!mistakes("page.path == \"a").is_empty());
    assert!(!mistakes("a b c").is_empty());
    assert!(!mistakes("@#$").is_empty());
}

#[test]
fn names_must_be_unique() {
    let twice = |name: &str| SegmentSource {
        name: name.to_owned(),
        when: "true".to_owned(),
    };
    let errors = compile(&[twice("a"), twice("b"), twice("a")]).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].message, Mistake::DuplicateName);
    // Two words with one 32-bit FNV-1a.
    let errors = compile(&[twice("costarring"), twice("liquid")]).unwrap_err();
    assert_eq!(
        errors[0].message,
        Mistake::NameCollision("costarring".into())
    );
}
