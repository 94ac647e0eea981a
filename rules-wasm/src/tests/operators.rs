//! Every operator and function, on values, on mismatches and on nothing.

use super::support::{Value, check};
use crate::Verdict::{False, True, Unknown};

#[test]
fn the_example_of_the_documentation_decides() {
    let values = |path, views| {
        [
            ("page.path", Value::text(path)),
            ("session.page_views", Value::Int(views)),
            ("geo.country", Value::text("CA")),
        ]
    };
    let when = r#"page.path.startsWith("/pricing") && session.page_views >= 3 && geo.country in ["US","CA"]"#;
    check(&values("/pricing/pro", 3), &[(when, True)]);
    check(&values("/pricing/pro", 2), &[(when, False)]);
    check(&values("/about", 9), &[(when, False)]);
    check(&values("/pricing", 9)[..2], &[(when, Unknown)]);
}

fn record() -> Vec<(&'static str, Value)> {
    vec![
        ("event.name", Value::text("Order Completed")),
        ("event.type", Value::text("track")),
        ("page.path", Value::text("/pricing/pro?x=1")),
        ("page.title", Value::text("Größe – Preis 😀")),
        ("geo.country", Value::text("DE")),
        ("geo.asn", Value::Int(3320)),
        ("device.bot", Value::Bool(false)),
        ("session.page_views", Value::Int(7)),
        ("session.engaged", Value::Bool(true)),
        ("session.started_at", Value::Time(1_000_000)),
        ("profile.first_seen", Value::Time(400_000)),
        ("now", Value::Time(1_060_000)),
        ("properties.int", Value::Int(42)),
        ("properties.price", Value::Double(19.5)),
        ("properties.whole", Value::Double(42.0)),
        ("properties.text", Value::text("abc")),
        ("properties.yes", Value::Bool(true)),
        ("properties.a.b", Value::Int(-3)),
        ("properties[\"odd key\"]", Value::text("odd")),
        ("traits.plan", Value::text("pro")),
    ]
}

#[test]
fn comparisons_follow_the_types() {
    check(
        &record(),
        &[
            ("session.page_views == 7", True),
            ("session.page_views != 7", False),
            ("session.page_views < 7", False),
            ("session.page_views <= 7", True),
            ("session.page_views > 6", True),
            ("7 >= session.page_views", True),
            ("session.page_views > 6.5", True),
            ("6.5 > session.page_views", False),
            ("properties.int == 42", True),
            ("properties.int == 42.0", True),
            ("properties.whole == 42", True),
            ("properties.price > 19", True),
            ("19 > properties.price", False),
            ("properties.price >= 19.5", True),
            ("properties.a.b < 0", True),
            ("properties.int == properties.whole", True),
            ("properties.int > properties.price", True),
            ("properties.text == traits.plan", False),
            ("properties.text < traits.plan", True),
            ("properties.yes == true", True),
            ("true != properties.yes", False),
            ("device.bot == false", True),
            ("device.bot < session.engaged", True),
            ("device.bot >= session.engaged", False),
            ("properties.text >= \"ab\"", True),
            ("properties.text > \"abc\"", False),
            ("properties.text <= \"abd\"", True),
            ("\"abd\" > properties.text", True),
            ("\"a\" < \"b\"", True),
            ("page.title > \"Größe\"", True),
            ("properties[\"odd key\"] == \"odd\"", True),
            ("properties[\"text\"] == \"abc\"", True),
        ],
    );
}

#[test]
fn strings_are_compared_by_every_length_and_place() {
    let text = "0123456789abcdefghijklmnopqrstuvwxyz";
    for len in 0..=text.len() {
        let value = &text[..len];
        let wrong = format!("{}!", &value[..len.saturating_sub(1)]);
        let tail = &text[text.len() - len..];
        check(
            &[
                ("properties.a", Value::text(value)),
                ("page.path", Value::text(text)),
            ],
            &[
                (&format!("properties.a == {value:?}"), True),
                (&format!("properties.a != {value:?}"), False),
                (&format!("properties.a == {wrong:?}"), False),
                (&format!("page.path.startsWith({value:?})"), True),
                (&format!("page.path.startsWith({wrong:?})"), False),
                (&format!("page.path.endsWith({tail:?})"), True),
                (&format!("page.path.endsWith({wrong:?})"), False),
                (&format!("page.path.contains({tail:?})"), True),
                (&format!("page.path.contains({value:?})"), True),
                (&format!("page.path.contains({wrong:?})"), False),
                (&format!("properties.a in [\"x\", {value:?}]"), True),
                (&format!("properties.a in [\"x\", {wrong:?}]"), False),
                (&format!("size(properties.a) == {len}"), True),
            ],
        );
    }
}

#[test]
fn a_substring_is_found_wherever_it_stands() {
    for before in 0..40 {
        for after in [0, 1, 15, 16, 17] {
            let text = format!("{}needle{}", "n".repeat(before), "e".repeat(after));
            check(
                &[("page.url", Value::text(&text))],
                &[
                    ("page.url.contains(\"needle\")", True),
                    ("page.url.contains(\"needles\")", False),
                    ("page.url.contains(\"d\")", True),
                    ("page.url.contains(\"\")", True),
                ],
            );
        }
    }
}

#[test]
fn a_match_never_reaches_into_the_next_string() {
    let values = [
        ("page.path", Value::text("/a")),
        ("page.title", Value::text("bc")),
    ];
    check(
        &values,
        &[
            ("page.path.contains(\"ab\") || page.title == \"\"", False),
            ("page.path.startsWith(\"/ab\") || page.title == \"\"", False),
            ("page.path == \"/ab\" || page.title == \"b\"", False),
            ("page.path.endsWith(\"bc\") || page.title != \"bc\"", False),
        ],
    );
}

#[test]
fn strings_count_code_points() {
    check(
        &record(),
        &[
            ("size(page.title) == 15", True),
            ("page.title.size() > 14", True),
            ("size(properties.text) == 3", True),
            ("size(\"größe\") == 5", True),
            ("size(properties.int) == 2", Unknown),
        ],
    );
}

#[test]
fn arithmetic_keeps_ints_and_makes_doubles_of_the_rest() {
    check(
        &record(),
        &[
            ("session.page_views + 1 == 8", True),
            ("session.page_views - 10 == -3", True),
            ("session.page_views * 3 == 21", True),
            ("session.page_views / 2 == 3", True),
            ("session.page_views % 2 == 1", True),
            ("-session.page_views == -7", True),
            ("session.page_views / 2.0 == 3.5", True),
            ("properties.int / 4 == 10.5", True),
            ("properties.int % 5 == 2", True),
            ("properties.whole % 5 == 2", True),
            ("properties.price % 5 == 2", Unknown),
            ("properties.price * 2 == 39", True),
            ("properties.price + properties.int > 61", True),
            ("-properties.price < 0", True),
            ("properties.text + 1 > 0", Unknown),
            ("session.page_views / 0 == 0", Unknown),
            ("session.page_views % 0 == 0", Unknown),
            ("properties.price / 0 > 0", Unknown),
            ("session.page_views + 9223372036854775807 > 0", Unknown),
            ("session.page_views * 9223372036854775807 > 0", Unknown),
            ("-9223372036854775807 - session.page_views < 0", Unknown),
            ("properties.price * 1e308 * 10 > 0", Unknown),
        ],
    );
}

#[test]
fn times_and_durations_have_their_own_arithmetic() {
    check(
        &record(),
        &[
            ("now - session.started_at == duration(\"60s\")", True),
            ("now - session.started_at > duration(\"1m\")", False),
            ("now - session.started_at >= duration(\"1m0s\")", True),
            ("session.started_at + duration(\"1m\") <= now", True),
            ("now - duration(\"61s\") < session.started_at", True),
            ("duration(\"1h30m\") == duration(\"90m\")", True),
            ("-duration(\"1h\") < duration(\"0s\")", True),
            (
                "session.started_at - profile.first_seen == duration(\"10m\")",
                True,
            ),
            (
                "session.started_at > timestamp(\"1970-01-01T00:00:00Z\")",
                True,
            ),
            ("now < timestamp(\"1970-01-01T00:17:40Z\")", False),
            ("now <= timestamp(\"1970-01-01T00:17:40Z\")", True),
        ],
    );
}

#[test]
fn lists_hold_literals_of_one_type() {
    check(
        &record(),
        &[
            ("geo.country in [\"US\", \"DE\"]", True),
            ("geo.country in [\"US\", \"CA\", \"GBR\"]", False),
            ("geo.asn in [1, 3320]", True),
            ("properties.price in [19.5]", True),
            ("properties.int in [1, 2]", False),
            ("properties.yes in [true]", True),
            ("\"a\" in [\"a\"]", True),
            ("properties.text in [1, 2]", Unknown),
            ("properties.int in [\"a\"]", Unknown),
            ("-3 in [-3]", True),
            ("properties.a.b in [-3, -4]", True),
        ],
    );
}

#[test]
fn a_choice_takes_one_branch_only() {
    check(
        &record(),
        &[
            ("device.bot ? properties.absent : session.engaged", True),
            ("session.engaged ? device.bot : properties.absent", False),
            ("properties.absent ? true : true", Unknown),
            ("(device.bot ? 1 : 2) == 2", True),
            ("(device.bot ? 1 : 2.5) == 2.5", True),
            ("(device.bot ? page.path : \"x\") == \"x\"", True),
            (
                "(session.engaged ? page.path : \"x\").startsWith(\"/pricing\")",
                True,
            ),
            (
                "(device.bot ? properties.int : properties.price) + 1 == 20.5",
                True,
            ),
            (
                "(device.bot ? properties.int : \"b\") in [\"a\", \"b\"]",
                True,
            ),
            ("size(device.bot ? page.path : \"xyz\") == 3", True),
            ("(session.engaged ? (device.bot ? 1 : 2) : 3) == 2", True),
            ("-(device.bot ? properties.int : 5) == -5", True),
        ],
    );
}

#[test]
fn numbers_beyond_a_doubles_precision_stay_exact_as_ints() {
    let values = [("properties.id", Value::Int(9_007_199_254_740_993))];
    check(
        &values,
        &[
            ("properties.id == 9007199254740993", True),
            ("properties.id == 9007199254740992", False),
            ("properties.id == 9007199254740992.0", True),
        ],
    );
}
