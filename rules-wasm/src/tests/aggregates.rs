//! Stage 1: which events add what to which aggregate.

use tidegate_event::{AggregateKind, HitValue};

use super::support::{Value, fill, hits, load};
use crate::Verdict::{False, True, Unknown};

fn track(name: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("event.name", Value::text(name)),
        ("event.type", Value::text("track")),
    ]
}

#[test]
fn an_event_that_matches_counts_and_another_does_not() {
    let when = "count(event.name == \"Buy\", \"30d\") >= 2";
    let found = hits(&[when], &track("Buy"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].spec.kind, AggregateKind::Count);
    assert_eq!(found[0].spec.window_ms, 30 * 86_400_000);
    assert_eq!(found[0].value, HitValue::Matched);
    assert_eq!(hits(&[when], &track("Look")), []);
    assert_eq!(hits(&[when], &[]), [], "an unknown condition adds nothing");
}

#[test]
fn a_sum_adds_numbers_and_nothing_else() {
    let when = "sum(properties.price * 2, event.name == \"Buy\", \"7d\") > 100.0";
    let with = |price| [track("Buy"), vec![("properties.price", price)]].concat();
    let value = |price| hits(&[when], &with(price)).first().map(|hit| hit.value);
    assert_eq!(value(Value::Double(19.5)), Some(HitValue::Number(39.0)));
    assert_eq!(value(Value::Int(5)), Some(HitValue::Number(10.0)));
    assert_eq!(value(Value::text("19.5")), None);
    assert_eq!(value(Value::Absent), None);
    assert_eq!(value(Value::Double(1e308)), None, "not finite");
}

#[test]
fn distinct_tells_values_apart_by_what_they_are() {
    let when = "distinct(properties.sku, true, \"7d\") > 3";
    let hash = |sku| match hits(&[when], &[("properties.sku", sku)])
        .first()
        .map(|hit| hit.value)
    {
        Some(HitValue::Value(hash)) => hash,
        other => panic!("{other:?}"),
    };
    assert_eq!(hash(Value::Int(7)), hash(Value::Double(7.0)));
    assert_eq!(hash(Value::text("ab")), hash(Value::text("ab")));
    let all = [
        hash(Value::Int(7)),
        hash(Value::Int(1)),
        hash(Value::Bool(true)),
        hash(Value::Double(7.5)),
        hash(Value::text("7")),
        hash(Value::text("")),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(!all[..index].contains(one), "{all:?}");
    }
    assert_eq!(hits(&[when], &[]), []);
}

#[test]
fn the_hash_of_a_value_never_changes_between_versions() {
    let when = "distinct(properties.sku, true, \"7d\") > 3";
    let hash = |sku| hits(&[when], &[("properties.sku", sku)])[0].value;
    assert_eq!(hash(Value::text("sku-1")), HitValue::Value(TEXT_HASH));
    assert_eq!(hash(Value::Int(7)), HitValue::Value(INT_HASH));
}

const TEXT_HASH: u64 = 0x71e9_911c_7fca_4097;
const INT_HASH: u64 = 0x044c_3cd7_f43c_661c;

#[test]
fn a_literal_and_a_field_of_the_same_value_are_one_value() {
    let when = "distinct(device.bot ? page.path : \"/home\", true, \"7d\") > 1";
    let hash = |bot| {
        let values = [
            ("device.bot", Value::Bool(bot)),
            ("page.path", Value::text("/home")),
        ];
        hits(&[when], &values)[0].value
    };
    assert_eq!(hash(true), hash(false));
}

#[test]
fn the_b_of_an_event_comes_before_its_a() {
    let both = "then(event.type == \"track\", event.name == \"Buy\", \"20m\")";
    let values = |name| {
        hits(&[both], &track(name))
            .iter()
            .map(|hit| hit.value)
            .collect::<Vec<_>>()
    };
    assert_eq!(values("Buy"), [HitValue::B, HitValue::A]);
    assert_eq!(values("Look"), [HitValue::A]);
    let cart = "absent(event.name == \"Buy\", event.name == \"Cart\", \"20m\")";
    assert_eq!(hits(&[cart], &track("Cart"))[0].value, HitValue::A);
    assert_eq!(hits(&[cart], &track("Buy"))[0].value, HitValue::B);
}

#[test]
fn equal_aggregates_of_many_segments_are_one() {
    let ruleset = load(&[
        "count(event.name == \"Buy\", \"24h\") > 1",
        "count( event.name  == 'Buy', \"1d\" ) > 5 && last(event.name == \"Buy\") < now",
        "count(event.name == \"Buy\", \"2d\") > 1",
    ]);
    let plan = ruleset.plan();
    assert_eq!(plan.aggregates.len(), 3);
    assert!(plan.aggregates.is_sorted_by_key(|spec| spec.id));
    assert_eq!(plan.segments[0].aggregates.len(), 1);
    assert_eq!(plan.segments[1].aggregates.len(), 2);
    assert!(
        plan.segments[1]
            .aggregates
            .contains(&plan.segments[0].aggregates[0])
    );
    assert!(
        !plan.segments[1]
            .aggregates
            .contains(&plan.segments[2].aggregates[0])
    );
}

#[test]
fn an_aggregate_keeps_its_key_between_versions() {
    let key = |when: &str| load(&[when]).plan().aggregates[0].id.0;
    let text = "count((event.name==\"Buy\"&&properties.price>10),2592000000)";
    assert_eq!(
        key("count(event.name == \"Buy\" && (properties.price > 10), \"30d\") > 0"),
        tidegate_event::id::fnv1a_32(text.as_bytes())
    );
}

#[test]
fn the_values_of_aggregates_are_read_like_fields() {
    let ruleset = load(&[
        "count(event.type == \"page\", \"1h\") >= 3",
        "sum(properties.x, true, \"1h\") > 9.5",
        "now - last(event.name == \"Buy\") > duration(\"30d\")",
        "then(event.name == \"A\", event.name == \"B\", \"1h\")",
        "!absent(event.name == \"A\", event.name == \"B\", \"1h\")",
    ]);
    let mut evaluator = ruleset.evaluator().unwrap();
    let kinds: Vec<_> = ruleset
        .plan()
        .aggregates
        .iter()
        .map(|spec| spec.kind)
        .collect();
    fill(&mut evaluator, &[("now", Value::Time(31 * 86_400_000))]);
    assert_eq!(evaluator.segments().unwrap(), [Unknown; 5]);
    for (slot, field) in ruleset.plan().fields.iter().enumerate() {
        let crate::Field::Aggregate(index) = field else {
            continue;
        };
        let value = match kinds[*index] {
            AggregateKind::Count | AggregateKind::Distinct => Value::Int(3),
            AggregateKind::Sum => Value::Double(9.5),
            AggregateKind::Last | AggregateKind::First => Value::Time(1),
            AggregateKind::Then | AggregateKind::Absent => Value::Bool(true),
        };
        value.put(evaluator.record(), slot);
    }
    assert_eq!(
        evaluator.segments().unwrap(),
        [True, False, True, True, False]
    );
}

#[test]
fn traits_are_the_events_in_a_condition_and_the_profiles_elsewhere() {
    let ruleset = load(&["traits.plan == \"pro\" && count(traits.plan == \"pro\", \"1h\") > 0"]);
    let fields = &ruleset.plan().fields;
    assert!(
        fields
            .iter()
            .any(|field| matches!(field, crate::Field::Trait(_)))
    );
    assert!(
        fields
            .iter()
            .any(|field| matches!(field, crate::Field::EventTrait(_)))
    );
    assert!(ruleset.plan().segments[0].event_slots.is_empty());
}

#[test]
fn the_canonical_text_shows_all_that_makes_an_aggregate() {
    let key = |text: &str| tidegate_event::id::fnv1a_32(text.as_bytes());
    for (when, canonical) in [
        ("last(page.path == '/a') < now", "last(page.path==\"/a\",0)"),
        (
            "sum(properties.a * 2, true && (false || device.bot), \"1h\") > 1.0",
            "sum((properties.a*2),(true&&(false||device.bot)),3600000)",
        ),
        (
            "distinct(properties[\"odd \\\"key\"], geo.country in [\"US\", 'CA'], \"60m\") > 1",
            "distinct(properties[\"odd \\\"key\"],geo.country in [\"US\",\"CA\"],3600000)",
        ),
        (
            "then(page.url.contains(\"a\"), !has(traits.x), \"1s\")",
            "then(page.url.contains(\"a\"),!has(traits.x),1000)",
        ),
        (
            "absent(size(page.title) > 3, device.bot ? traits.a > 1.5 : true == false, \"1s\")",
            "absent((device.bot?traits.a>1.5:(true==false)),size(page.title)>3,1000)",
        ),
    ] {
        assert_eq!(
            load(&[when]).plan().aggregates[0].id.0,
            key(canonical),
            "{when}"
        );
    }
}
