//! What modules compute is what the reference interpreter computes.

use std::collections::HashMap;

use proptest::prelude::{ProptestConfig, any, proptest};
use tidegate_event::HitValue;

use super::generate::Generator;
use super::reference::{Reference, Val, parse, whole};
use super::support::{Value, engine, sources};
use crate::expression::hash;
use crate::{Evaluator, Ruleset, Verdict, compile};

const EXPRESSIONS: usize = 40;
const RECORDS: usize = 40;

fn evaluator(expressions: &[String]) -> Evaluator {
    let texts: Vec<&str> = expressions.iter().map(String::as_str).collect();
    let compiled = compile(&sources(&texts)).unwrap_or_else(|errors| {
        let index: usize = errors[0].segment[1..].parse().unwrap();
        panic!("{}\n{}", texts[index], errors[0]);
    });
    Ruleset::load(&engine(), compiled)
        .unwrap()
        .evaluator()
        .unwrap()
}

fn fill(evaluator: &mut Evaluator, values: &HashMap<String, Value>) {
    let names: Vec<String> = evaluator
        .plan()
        .fields
        .iter()
        .map(ToString::to_string)
        .collect();
    let record = evaluator.record();
    record.clear();
    for (slot, name) in names.iter().enumerate() {
        if let Some(value) = values.get(name) {
            value.put(record, slot);
        }
    }
}

const fn verdict(value: &Val) -> Verdict {
    match value {
        Val::Bool(true) => Verdict::True,
        Val::Bool(false) => Verdict::False,
        _ => Verdict::Unknown,
    }
}

fn hash_of(value: &Val) -> Option<u64> {
    Some(match (value, whole(value)) {
        (_, Some(number)) => hash::mix(hash::TAG_WHOLE, number.cast_unsigned()),
        (Val::Double(number), None) => hash::mix(hash::TAG_REAL, number.to_bits()),
        (Val::Bool(value), None) => hash::mix(hash::TAG_BOOL, u64::from(*value)),
        (Val::Text(text), None) => hash::text(text),
        (Val::Time(time), None) => hash::mix(hash::TAG_TIMESTAMP, time.cast_unsigned()),
        (Val::Span(span), None) => hash::mix(hash::TAG_DURATION, span.cast_unsigned()),
        (Val::Unknown | Val::Int(_), None) => return None,
    })
}

fn number_of(value: &Val) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "sums are doubles")]
    match value {
        Val::Int(number) => Some(*number as f64),
        Val::Double(number) => Some(*number),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn verdicts_equal_the_references(seed in any::<u64>()) {
        let mut generator = Generator::new(seed);
        let expressions: Vec<String> = (0..EXPRESSIONS).map(|_| generator.condition(3)).collect();
        let trees: Vec<_> = expressions.iter().map(|text| parse(text)).collect();
        let mut evaluator = evaluator(&expressions);
        for _ in 0..RECORDS {
            let fields = generator.record();
            fill(&mut evaluator, &fields);
            let reference = Reference { fields: &fields };
            let verdicts = evaluator.segments().unwrap();
            for ((tree, text), found) in trees.iter().zip(&expressions).zip(verdicts) {
                assert_eq!(*found, verdict(&reference.eval(tree)), "{text}\n{fields:?}");
            }
        }
    }

    #[test]
    fn hits_equal_the_references(seed in any::<u64>()) {
        let mut generator = Generator::new(seed);
        generator.event_only = true;
        let parts: Vec<(String, String, String)> = (0..EXPRESSIONS / 2)
            .map(|_| (generator.condition(2), generator.number(2), generator.value(2)))
            .collect();
        let expressions: Vec<String> = parts
            .iter()
            .enumerate()
            .map(|(index, (condition, number, value))| {
                // Windows differ, so that no two aggregates are one.
                format!(
                    "count({condition}, \"{}s\") + distinct({value}, {condition}, \"{}s\") > 0 \
                     || sum({number}, {condition}, \"{}s\") > 0.0",
                    3 * index + 1, 3 * index + 2, 3 * index + 3,
                )
            })
            .collect();
        let mut evaluator = evaluator(&expressions);
        for _ in 0..RECORDS {
            let fields = generator.record();
            fill(&mut evaluator, &fields);
            let reference = Reference { fields: &fields };
            let found: HashMap<u64, HitValue> = evaluator
                .conditions()
                .unwrap()
                .iter()
                .map(|hit| (hit.spec.window_ms / 1_000, hit.value))
                .collect();
            for (index, (condition, number, value)) in parts.iter().enumerate() {
                let key = 3 * u64::try_from(index).unwrap();
                let matched = reference.eval(&parse(condition)) == Val::Bool(true);
                let number_value = reference.eval(&parse(number));
                let value_value = reference.eval(&parse(value));
                let expect = |value: Option<HitValue>| value.filter(|_| matched);
                let context = || format!("{condition}\n{number}\n{value}\n{fields:?}");
                assert_eq!(
                    found.get(&(key + 1)).copied(), expect(Some(HitValue::Matched)), "{}", context()
                );
                assert_eq!(
                    found.get(&(key + 2)).copied(),
                    expect(hash_of(&value_value).map(HitValue::Value)), "{}", context()
                );
                assert_eq!(
                    found.get(&(key + 3)).copied(),
                    expect(number_of(&number_value).map(HitValue::Number)), "{}", context()
                );
            }
        }
    }
}
