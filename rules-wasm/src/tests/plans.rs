//! What the plan tells the host.

use tidegate_event::{SegmentId, Timestamp};

use super::support::load;
use crate::{Field, PageField, SegmentPlan, SessionField, Wake};

fn plan(when: &str) -> (Vec<Field>, SegmentPlan) {
    let ruleset = load(&[when]);
    (
        ruleset.plan().fields.clone(),
        ruleset.plan().segments[0].clone(),
    )
}

#[test]
fn a_segment_waits_for_the_event_fields_it_reads() {
    let (fields, segment) = plan(
        "page.path == \"/a\" && properties.x > 1 && session.page_views > 1 && profile.identified",
    );
    assert_eq!(segment.id, SegmentId::of("s0"));
    assert_eq!(segment.event_slots, [0, 1]);
    assert!(fields[..2].iter().all(Field::is_event_field));
    assert!(fields[2..].iter().all(|field| !field.is_event_field()));
    assert!(fields.contains(&Field::Page(PageField::Path)));
    assert!(fields.contains(&Field::Session(SessionField::PageViews)));
    assert!(segment.reads_session);
}

#[test]
fn has_and_conditions_make_a_segment_wait_for_nothing() {
    let (_, segment) = plan("has(properties.coupon) || count(page.path == \"/a\", \"1h\") > 0");
    assert!(segment.event_slots.is_empty());
    assert!(!segment.reads_session);
    let (_, segment) = plan("has(properties.coupon) && properties.coupon == \"X\"");
    assert_eq!(segment.event_slots, [0]);
}

#[test]
fn a_window_wakes_at_its_edge_and_an_endless_count_never() {
    assert_eq!(
        plan("count(true, \"1h\") > 0").1.wake,
        [Wake::WindowEdge(0)]
    );
    assert_eq!(
        plan("sum(1, true, \"1h\") > 0").1.wake,
        [Wake::WindowEdge(0)]
    );
    assert_eq!(
        plan("distinct(page.path, true, \"1h\") > 0").1.wake,
        [Wake::WindowEdge(0)]
    );
    assert_eq!(plan("count(true) > 0").1.wake, []);
    assert_eq!(plan("then(true, true, \"1h\")").1.wake, []);
    assert_eq!(
        plan("absent(false, true, \"1h\")").1.wake,
        [Wake::Absent(0)]
    );
    assert_eq!(plan("has(page.path)").1.wake, []);
}

#[test]
fn an_age_wakes_at_the_first_millisecond_that_changes_it() {
    const HOUR: i64 = 3_600_000;
    let age = |ms| Wake::Age { aggregate: 0, ms };
    for (when, expected) in [
        ("now - last(true) > duration(\"1h\")", vec![age(HOUR + 1)]),
        ("now - last(true) >= duration(\"1h\")", vec![age(HOUR)]),
        ("now - last(true) < duration(\"1h\")", vec![age(HOUR)]),
        ("now - last(true) <= duration(\"1h\")", vec![age(HOUR + 1)]),
        (
            "now - last(true) == duration(\"1h\")",
            vec![age(HOUR), age(HOUR + 1)],
        ),
        ("duration(\"1h\") < now - last(true)", vec![age(HOUR + 1)]),
        ("last(true) < now - duration(\"1h\")", vec![age(HOUR + 1)]),
        ("last(true) + duration(\"1h\") <= now", vec![age(HOUR)]),
        ("last(true) - now < -duration(\"1h\")", vec![age(HOUR + 1)]),
        (
            "now - duration(\"30m\") - last(true) >= duration(\"30m\")",
            vec![age(HOUR)],
        ),
        ("last(true) < now", vec![age(1)]),
        ("last(true) - first(false) > duration(\"1h\")", vec![]),
        ("now - now < duration(\"1h\")", vec![]),
    ] {
        assert_eq!(plan(when).1.wake, expected, "{when}");
    }
}

#[test]
fn ages_of_fields_and_fixed_times_wake_too() {
    let (fields, segment) = plan("now - profile.last_seen > duration(\"7d\")");
    let slot = fields
        .iter()
        .position(|field| field.to_string() == "profile.last_seen")
        .unwrap();
    assert_eq!(
        segment.wake,
        [Wake::FieldAge {
            slot,
            ms: 7 * 86_400_000 + 1
        }]
    );
    let (_, segment) = plan("now >= timestamp(\"2026-12-01T00:00:00Z\") && session.events > 1");
    let at = Timestamp::parse_rfc3339("2026-12-01T00:00:00Z").unwrap();
    assert_eq!(segment.wake, [Wake::At(at)]);
}

#[test]
fn a_plan_names_the_slot_of_each_field() {
    let ruleset = load(&["page.path == \"/a\" && geo.asn > 1"]);
    for (slot, field) in ruleset.plan().fields.iter().enumerate() {
        assert_eq!(ruleset.plan().slot(field), Some(slot));
    }
    assert_eq!(ruleset.plan().slot(&Field::Now), None);
}
