//! A set of expressions and one record, evaluated in a line.

use std::sync::Arc;

use tidegate_event::{AggregateHit, Timestamp};

use crate::{
    Engine, Evaluator, Field, Limits, Mistake, RecordBuffer, Ruleset, SegmentSource, Verdict,
    compile,
};

/// What a test puts into a slot.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Absent,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Time(i64),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn put(&self, record: &mut RecordBuffer, slot: usize) {
        match self {
            Self::Absent => record.unset(slot),
            Self::Bool(value) => record.set_bool(slot, *value),
            Self::Int(value) => record.set_int(slot, *value),
            Self::Double(value) => {
                record.set_float(slot, *value);
            }
            Self::Text(value) => {
                record.set_str(slot, value);
            }
            Self::Time(value) => record.set_timestamp(slot, Timestamp(*value)),
        }
    }
}

pub(super) fn sources(expressions: &[&str]) -> Vec<SegmentSource> {
    expressions
        .iter()
        .enumerate()
        .map(|(index, when)| SegmentSource {
            name: format!("s{index}"),
            when: (*when).to_owned(),
        })
        .collect()
}

pub(super) fn engine() -> Engine {
    Engine::new(Limits::default()).unwrap()
}

pub(super) fn load(expressions: &[&str]) -> Arc<Ruleset> {
    let compiled = compile(&sources(expressions)).unwrap_or_else(|errors| {
        panic!(
            "{}",
            errors
                .iter()
                .map(|error| format!("{error}\n"))
                .collect::<String>()
        )
    });
    Ruleset::load(&engine(), compiled).unwrap()
}

/// The mistakes of one expression, as (line, column, message).
pub(super) fn mistakes(expression: &str) -> Vec<(u32, u32, Mistake)> {
    match compile(&sources(&[expression])) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .into_iter()
            .map(|error| (error.line, error.column, error.message))
            .collect(),
    }
}

/// Fills the record by the fields' names; a name that no rule reads is ignored.
pub(super) fn fill(evaluator: &mut Evaluator, values: &[(&str, Value)]) {
    let fields: Vec<String> = evaluator
        .plan()
        .fields
        .iter()
        .map(Field::to_string)
        .collect();
    let record = evaluator.record();
    record.clear();
    for (name, value) in values {
        for (slot, field) in fields.iter().enumerate() {
            if field == name {
                value.put(record, slot);
            }
        }
    }
}

pub(super) fn verdicts(expressions: &[&str], values: &[(&str, Value)]) -> Vec<Verdict> {
    let mut evaluator = load(expressions).evaluator().unwrap();
    fill(&mut evaluator, values);
    evaluator.segments().unwrap().to_vec()
}

pub(super) fn hits(expressions: &[&str], values: &[(&str, Value)]) -> Vec<AggregateHit> {
    let mut evaluator = load(expressions).evaluator().unwrap();
    fill(&mut evaluator, values);
    evaluator.conditions().unwrap().to_vec()
}

/// One table: each line an expression and what it must come to.
pub(super) fn check(values: &[(&str, Value)], table: &[(&str, Verdict)]) {
    let expressions: Vec<&str> = table.iter().map(|(expression, _)| *expression).collect();
    for ((expression, expected), verdict) in table.iter().zip(verdicts(&expressions, values)) {
        assert_eq!(verdict, *expected, "{expression}");
    }
}
