//! Three-valued logic: what an absent value does.

use super::support::{Value, check, verdicts};
use crate::Verdict::{self, False, True, Unknown};

/// A bool field in each of the three states.
fn state(verdict: Verdict) -> &'static str {
    match verdict {
        False => "device.bot",
        True => "session.engaged",
        Unknown => "profile.identified",
    }
}

fn values() -> Vec<(&'static str, Value)> {
    vec![
        ("device.bot", Value::Bool(false)),
        ("session.engaged", Value::Bool(true)),
    ]
}

const STATES: [Verdict; 3] = [False, True, Unknown];

fn and(left: Verdict, right: Verdict) -> Verdict {
    match (left, right) {
        (False, _) | (_, False) => False,
        (True, True) => True,
        _ => Unknown,
    }
}

fn not(inner: Verdict) -> Verdict {
    match inner {
        False => True,
        True => False,
        Unknown => Unknown,
    }
}

#[test]
fn logic_follows_the_truth_tables() {
    for left in STATES {
        assert_eq!(
            verdicts(&[&format!("!{}", state(left))], &values()),
            [not(left)]
        );
        for right in STATES {
            let (a, b) = (state(left), state(right));
            let or = not(and(not(left), not(right)));
            check(
                &values(),
                &[
                    (&format!("{a} && {b}"), and(left, right)),
                    (&format!("{a} || {b}"), or),
                ],
            );
            for third in STATES {
                let c = state(third);
                let choice = match left {
                    True => right,
                    False => third,
                    Unknown => Unknown,
                };
                check(
                    &values(),
                    &[
                        (&format!("{a} && {b} && {c}"), and(and(left, right), third)),
                        (&format!("!({a} || {b}) || {c}"), not(and(or, not(third)))),
                        (&format!("{a} ? {b} : {c}"), choice),
                    ],
                );
            }
        }
    }
}

#[test]
fn every_use_of_an_absent_value_is_unknown_but_has() {
    check(
        &[("properties.there", Value::Int(1))],
        &[
            ("properties.x == 1", Unknown),
            ("properties.x != 1", Unknown),
            ("properties.x == \"a\"", Unknown),
            ("properties.x < 1.5", Unknown),
            ("properties.x == properties.x", Unknown),
            ("properties.x in [1]", Unknown),
            ("properties.x in [\"a\"]", Unknown),
            ("properties.x + 1 > 0", Unknown),
            ("properties.x", Unknown),
            ("!properties.x", Unknown),
            ("page.path.startsWith(\"\")", Unknown),
            ("page.path.contains(\"\")", Unknown),
            ("size(page.path) >= 0", Unknown),
            ("page.path == page.url", Unknown),
            ("session.page_views > 0", Unknown),
            ("now > profile.last_seen", Unknown),
            ("device.bot == device.bot", Unknown),
            ("has(properties.x)", False),
            ("has(properties.there)", True),
            ("!has(page.path)", True),
            ("has(properties[\"there\"])", True),
            ("has(properties[\"not there\"])", False),
            ("has(properties[\"not\"][\"there\"])", False),
            ("has(properties.x) && properties.x > 1", False),
        ],
    );
}

#[test]
fn a_value_of_another_type_is_unknown_in_equality_too() {
    let values = [
        ("properties.text", Value::text("3")),
        ("properties.int", Value::Int(3)),
        ("properties.yes", Value::Bool(true)),
    ];
    check(
        &values,
        &[
            ("properties.text == 3", Unknown),
            ("properties.text != 3", Unknown),
            ("properties.int == \"3\"", Unknown),
            ("properties.int != \"3\"", Unknown),
            ("properties.yes == 1", Unknown),
            ("properties.yes == \"true\"", Unknown),
            ("properties.int == true", Unknown),
            ("properties.int", Unknown),
            ("properties.text == properties.int", Unknown),
            ("properties.yes < properties.int", Unknown),
            ("properties.int.contains(\"3\")", Unknown),
        ],
    );
}
