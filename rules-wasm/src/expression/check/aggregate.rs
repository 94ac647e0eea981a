//! Aggregates: what the host is asked to keep. Equal ones, over all segments, are one.

use std::collections::HashMap;

use cel::common::ast::{Expr, LiteralValue};
use cel::parser::Expression;
use tidegate_event::id::fnv1a_32;
use tidegate_event::{AggregateId, AggregateKind, AggregateSpec};

use super::{Checker, slot};
use crate::error::Mistake;
use crate::expression::ir::{Aggregate, Cond, Condition, Operand};
use crate::field::{Field, Type};

/// The aggregates of a ruleset, in order of appearance.
#[derive(Default)]
pub(crate) struct AggregateTable {
    entries: Vec<(AggregateSpec, Aggregate)>,
    by_id: HashMap<AggregateId, usize>,
}

impl AggregateTable {
    pub(crate) fn entries(&self) -> &[(AggregateSpec, Aggregate)] {
        &self.entries
    }

    /// Its place in the table, or the canonical text of another one with the same key.
    fn insert(&mut self, aggregate: Aggregate) -> Result<usize, String> {
        let text = aggregate.canonical();
        let id = AggregateId(fnv1a_32(text.as_bytes()));
        if let Some(&index) = self.by_id.get(&id) {
            let known = self.entries[index].1.canonical();
            return if known == text { Ok(index) } else { Err(known) };
        }
        let spec = AggregateSpec {
            id,
            kind: aggregate.kind,
            window_ms: aggregate.window_ms,
        };
        self.by_id.insert(id, self.entries.len());
        self.entries.push((spec, aggregate));
        Ok(self.entries.len() - 1)
    }
}

/// How each function is called, for messages.
const fn usage(kind: AggregateKind) -> (&'static str, &'static str) {
    match kind {
        AggregateKind::Count => (
            "count",
            "a condition and a window: count(COND, \"30d\"), or count(COND)",
        ),
        AggregateKind::Sum => (
            "sum",
            "a number, a condition and a window: sum(NUMBER, COND, \"30d\")",
        ),
        AggregateKind::Distinct => (
            "distinct",
            "a value, a condition and a window: distinct(VALUE, COND, \"30d\")",
        ),
        AggregateKind::Last => ("last", "a condition: last(COND)"),
        AggregateKind::First => ("first", "a condition: first(COND)"),
        AggregateKind::Then => ("then", "two conditions and a window: then(A, B, \"20m\")"),
        AggregateKind::Absent => (
            "absent",
            "two conditions and a window: absent(B, A, \"20m\")",
        ),
    }
}

const fn result(kind: AggregateKind) -> Type {
    match kind {
        AggregateKind::Count | AggregateKind::Distinct => Type::Int,
        AggregateKind::Sum => Type::Double,
        AggregateKind::Last | AggregateKind::First => Type::Timestamp,
        AggregateKind::Then | AggregateKind::Absent => Type::Bool,
    }
}

impl Checker<'_, '_> {
    /// An aggregate; the outer None when the name is none.
    pub(super) fn aggregate(
        &mut self,
        node: &Expression,
        name: &str,
        args: &[Expression],
    ) -> Option<Option<Operand>> {
        let kind = match name {
            "count" => AggregateKind::Count,
            "sum" => AggregateKind::Sum,
            "distinct" => AggregateKind::Distinct,
            "last" => AggregateKind::Last,
            "first" => AggregateKind::First,
            "then" => AggregateKind::Then,
            "absent" => AggregateKind::Absent,
            _ => return None,
        };
        let (function, _) = usage(kind);
        if self.within.is_some() {
            return Some(self.refuse(node.id, Mistake::NestedAggregate(function)));
        }
        self.within = Some(function);
        let declared = self.declared(node.id, kind, args);
        self.within = None;
        Some(declared.and_then(|aggregate| self.keep(node.id, aggregate)))
    }

    fn keep(&mut self, id: u64, aggregate: Aggregate) -> Option<Operand> {
        let kind = aggregate.kind;
        match self.aggregates.insert(aggregate) {
            Ok(index) => Some(slot(Field::Aggregate(index), result(kind))),
            Err(other) => self.refuse(id, Mistake::AggregateCollision(other.into())),
        }
    }

    fn declared(&mut self, id: u64, kind: AggregateKind, args: &[Expression]) -> Option<Aggregate> {
        use AggregateKind::{Absent, Count, Distinct, First, Last, Sum, Then};
        let (what, window_ms) = match (kind, args) {
            (Count | Last | First, [condition]) => (Condition::Match(self.part(condition)?), 0),
            (Count, [condition, window]) => {
                let (condition, window) = (self.part(condition), self.window(window));
                (Condition::Match(condition?), window?)
            }
            (Sum, [number, condition, window]) => {
                let value = self.operand(number);
                let number = value.and_then(|value| self.real(number.id, value, "what is summed"));
                let (condition, window) = (self.part(condition), self.window(window));
                (Condition::Sum(number?, condition?), window?)
            }
            (Distinct, [value, condition, window]) => {
                let value = self.operand(value);
                let (condition, window) = (self.part(condition), self.window(window));
                (Condition::Distinct(value?, condition?), window?)
            }
            (Then | Absent, [first, second, window]) => {
                let (first, second) = (self.part(first), self.part(second));
                let window = self.window(window);
                let (a, b) = if kind == Then {
                    (first?, second?)
                } else {
                    (second?, first?)
                };
                (Condition::Pair { a, b }, window?)
            }
            _ => {
                let (function, expected) = usage(kind);
                self.mistake(id, Mistake::Arguments { function, expected });
                return None;
            }
        };
        Some(Aggregate {
            kind,
            window_ms,
            what,
        })
    }

    fn part(&mut self, node: &Expression) -> Option<Cond> {
        // As in count("Order Completed", "30d").
        if let Expr::Literal(LiteralValue::String(name)) = &node.expr {
            self.mistake(node.id, Mistake::NameAsCondition(name.inner().into()));
            return None;
        }
        self.cond(node, "a condition of an aggregate")
    }
}
