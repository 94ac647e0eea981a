//! Many segments over several modules, and the two stages on one record.

use super::support::{Value, fill, load};
use crate::Field;
use crate::Verdict::{False, True, Unknown};

#[test]
fn verdicts_keep_the_order_of_segments_over_many_modules() {
    let texts: Vec<String> = (0..250)
        .map(|index| {
            format!(
                "session.page_views >= {index} && page.path == \"/a\" \
                 && count(page.path == \"/a\", \"{}s\") >= 0",
                60 + index % 3
            )
        })
        .collect();
    let expressions: Vec<&str> = texts.iter().map(String::as_str).collect();
    let ruleset = load(&expressions);
    assert_eq!(ruleset.plan().aggregates.len(), 3);
    let mut evaluator = ruleset.evaluator().unwrap();
    let values = [
        ("page.path", Value::text("/a")),
        ("session.page_views", Value::Int(120)),
    ];
    fill(&mut evaluator, &values);
    let hits = evaluator.conditions().unwrap();
    assert_eq!(
        hits.len(),
        3,
        "each aggregate once, whatever module it is in"
    );
    for (slot, field) in ruleset.plan().fields.iter().enumerate() {
        if matches!(field, Field::Aggregate(_)) {
            evaluator.record().set_int(slot, 1);
        }
    }
    let verdicts = evaluator.segments().unwrap();
    for (index, verdict) in verdicts.iter().enumerate() {
        assert_eq!(
            *verdict,
            if index <= 120 { True } else { False },
            "segment {index}"
        );
    }
}

#[test]
fn the_second_stage_sees_what_was_set_between_the_two() {
    let when = "profile.user_id == \"ann\" && page.path == \"/a\" && count(true, \"1h\") > 0";
    let ruleset = load(&[when]);
    let slot = |name: &str| {
        ruleset
            .plan()
            .fields
            .iter()
            .position(|field| field.to_string() == name)
            .unwrap()
    };
    let mut evaluator = ruleset.evaluator().unwrap();
    for (user, verdict) in [("ann", True), ("bob", False), ("ann", True)] {
        let record = evaluator.record();
        record.clear();
        record.set_str(slot("page.path"), "/a");
        assert_eq!(evaluator.segments().unwrap(), [Unknown]);
        assert_eq!(evaluator.conditions().unwrap().len(), 1);
        evaluator.record().set_str(slot("profile.user_id"), user);
        evaluator.record().set_int(slot("aggregate 0"), 1);
        assert_eq!(evaluator.segments().unwrap(), [verdict]);
    }
}

#[test]
fn evaluators_of_one_ruleset_do_not_disturb_each_other() {
    let ruleset = load(&["page.path == \"/a\""]);
    let (mut one, mut two) = (ruleset.evaluator().unwrap(), ruleset.evaluator().unwrap());
    one.record().set_str(0, "/a");
    two.record().set_str(0, "/b");
    assert_eq!(one.segments().unwrap(), [True]);
    assert_eq!(two.segments().unwrap(), [False]);
    assert_eq!(one.segments().unwrap(), [True]);
}
