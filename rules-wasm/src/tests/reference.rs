//! A slow and simple interpreter of the same language, over CEL's own syntax tree. It shares no
//! code with the compiler: it is what the compiler is held against.

use std::cmp::Ordering;
use std::collections::HashMap;

use cel::common::ast::{CallExpr, Expr, LiteralValue};
use cel::parser::{Expression, Parser};
use tidegate_event::Timestamp;
use tidegate_event::time::parse_duration_ms;

use super::support::Value;

/// A value at run time.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Val {
    Unknown,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Time(i64),
    Span(i64),
}

/// What is known of a value before it is there, as far as arithmetic asks.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    Int,
    Double,
    Dynamic,
    Other,
}

pub(super) struct Reference<'a> {
    pub(super) fields: &'a HashMap<String, Value>,
}

pub(super) fn parse(text: &str) -> Expression {
    Parser::new().parse(text).unwrap()
}

impl Reference<'_> {
    pub(super) fn eval(&self, node: &Expression) -> Val {
        match &node.expr {
            Expr::Literal(LiteralValue::Boolean(value)) => Val::Bool(value.into_inner()),
            Expr::Literal(LiteralValue::Int(value)) => Val::Int(value.into_inner()),
            Expr::Literal(LiteralValue::Double(value)) => Val::Double(value.into_inner()),
            Expr::Literal(LiteralValue::String(value)) => Val::Text(value.inner().to_owned()),
            Expr::Select(select) if select.test => {
                let name = format!("{}.{}", name(&select.operand), select.field);
                Val::Bool(self.field(&name) != Val::Unknown)
            }
            Expr::Ident(_) | Expr::Select(_) => self.field(&name(node)),
            Expr::Call(call) => self.call(node, call),
            other => panic!("{other:?}"),
        }
    }

    fn field(&self, name: &str) -> Val {
        match self.fields.get(name) {
            None | Some(Value::Absent) => Val::Unknown,
            Some(Value::Bool(value)) => Val::Bool(*value),
            Some(Value::Int(value)) => Val::Int(*value),
            Some(Value::Double(value)) => Val::Double(*value),
            Some(Value::Text(value)) => Val::Text(value.clone()),
            Some(Value::Time(value)) => Val::Time(*value),
        }
    }

    fn call(&self, node: &Expression, call: &CallExpr) -> Val {
        let arg = |index: usize| self.eval(&call.args[index]);
        let target = || self.eval(call.target.as_ref().unwrap());
        match call.func_name.as_str() {
            "_&&_" => and(truth(&arg(0)), truth(&arg(1))),
            "_||_" => {
                let neither = and(truth(&arg(0)).map(|a| !a), truth(&arg(1)).map(|b| !b));
                bool_of(truth(&neither).map(|neither| !neither))
            }
            "!_" => bool_of(truth(&arg(0)).map(|value| !value)),
            "_?_:_" => match truth(&arg(0)) {
                None => Val::Unknown,
                Some(first) => widen(arg(if first { 1 } else { 2 }), known(node)),
            },
            "_==_" => compared(&arg(0), &arg(1), Ordering::is_eq),
            "_!=_" => compared(&arg(0), &arg(1), Ordering::is_ne),
            "_<_" => compared(&arg(0), &arg(1), Ordering::is_lt),
            "_<=_" => compared(&arg(0), &arg(1), Ordering::is_le),
            "_>_" => compared(&arg(0), &arg(1), Ordering::is_gt),
            "_>=_" => compared(&arg(0), &arg(1), Ordering::is_ge),
            "@in" => self.within(&call.args[0], &call.args[1]),
            "-_" => {
                let zero = if known(&call.args[0]) == Known::Int {
                    Val::Int(0)
                } else {
                    Val::Double(0.0)
                };
                match arg(0) {
                    Val::Span(span) => Val::Span(-span),
                    value => arithmetic("_-_", &zero, &value, known(&call.args[0]) == Known::Int),
                }
            }
            op @ ("_+_" | "_-_" | "_*_" | "_/_" | "_%_") => {
                let ints = call.args.iter().all(|arg| known(arg) == Known::Int);
                arithmetic(op, &arg(0), &arg(1), ints)
            }
            "size" => match call
                .target
                .as_ref()
                .map_or_else(|| arg(0), |target| self.eval(target))
            {
                Val::Text(text) => Val::Int(i64::try_from(text.chars().count()).unwrap()),
                _ => Val::Unknown,
            },
            "startsWith" => placed(&target(), &arg(0), |text, part| text.starts_with(part)),
            "endsWith" => placed(&target(), &arg(0), |text, part| text.ends_with(part)),
            "contains" => placed(&target(), &arg(0), |text, part| text.contains(part)),
            "timestamp" => match arg(0) {
                Val::Text(text) => Val::Time(Timestamp::parse_rfc3339(&text).unwrap().0),
                other => panic!("{other:?}"),
            },
            "duration" => match arg(0) {
                Val::Text(text) => Val::Span(parse_duration_ms(&text).unwrap().cast_signed()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other}"),
        }
    }

    /// Equal to one of them; unknown where it is of another type than all of them.
    fn within(&self, value: &Expression, list: &Expression) -> Val {
        let value = self.eval(value);
        let Expr::List(list) = &list.expr else {
            panic!("no list")
        };
        let answers: Vec<Val> = list
            .elements
            .iter()
            .map(|element| compared(&value, &self.eval(element), Ordering::is_eq))
            .collect();
        if answers.contains(&Val::Bool(true)) {
            Val::Bool(true)
        } else if answers.contains(&Val::Unknown) {
            Val::Unknown
        } else {
            Val::Bool(false)
        }
    }
}

fn name(node: &Expression) -> String {
    match &node.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!("{}.{}", name(&select.operand), select.field),
        other => panic!("{other:?}"),
    }
}

fn known(node: &Expression) -> Known {
    match &node.expr {
        Expr::Literal(LiteralValue::Int(_)) => Known::Int,
        Expr::Literal(LiteralValue::Double(_)) => Known::Double,
        Expr::Select(select) if !select.test => {
            let name = name(node);
            if name.starts_with("properties.") || name.starts_with("traits.") {
                Known::Dynamic
            } else if [
                "geo.asn",
                "session.page_views",
                "session.events",
                "profile.sessions",
            ]
            .contains(&name.as_str())
            {
                Known::Int
            } else {
                let _ = select;
                Known::Other
            }
        }
        Expr::Call(call) => known_call(call),
        _ => Known::Other,
    }
}

fn known_call(call: &CallExpr) -> Known {
    let of = |index: usize| known(&call.args[index]);
    match call.func_name.as_str() {
        "size" | "_%_" => Known::Int,
        "_?_:_" => match (of(1), of(2)) {
            (Known::Int, Known::Int) => Known::Int,
            (Known::Double, Known::Int | Known::Double) | (Known::Int, Known::Double) => {
                Known::Double
            }
            (Known::Dynamic, _) | (_, Known::Dynamic) => Known::Dynamic,
            _ => Known::Other,
        },
        "-_" if of(0) == Known::Int => Known::Int,
        "-_" if of(0) == Known::Other => Known::Other,
        "-_" => Known::Double,
        "_+_" | "_-_" | "_*_" | "_/_" => match (of(0), of(1)) {
            (Known::Int, Known::Int) => Known::Int,
            (Known::Other, _) | (_, Known::Other) => Known::Other,
            _ => Known::Double,
        },
        _ => Known::Other,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "the language compares as doubles"
)]
fn real(value: &Val) -> Option<f64> {
    match value {
        Val::Int(value) => Some(*value as f64),
        Val::Double(value) => Some(*value),
        _ => None,
    }
}

fn widen(value: Val, known: Known) -> Val {
    match (known, real(&value)) {
        (Known::Double, Some(value)) => Val::Double(value),
        _ => value,
    }
}

fn truth(value: &Val) -> Option<bool> {
    match value {
        Val::Bool(value) => Some(*value),
        _ => None,
    }
}

fn bool_of(value: Option<bool>) -> Val {
    value.map_or(Val::Unknown, Val::Bool)
}

fn and(left: Option<bool>, right: Option<bool>) -> Val {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Val::Bool(false),
        (Some(true), Some(true)) => Val::Bool(true),
        _ => Val::Unknown,
    }
}

fn compared(left: &Val, right: &Val, holds: impl Fn(Ordering) -> bool) -> Val {
    let order = match (left, right) {
        (Val::Int(a), Val::Int(b))
        | (Val::Time(a), Val::Time(b))
        | (Val::Span(a), Val::Span(b)) => Some(a.cmp(b)),
        (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
        (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
        _ => real(left)
            .zip(real(right))
            .and_then(|(a, b)| a.partial_cmp(&b)),
    };
    order.map_or(Val::Unknown, |order| Val::Bool(holds(order)))
}

fn placed(text: &Val, part: &Val, test: impl Fn(&str, &str) -> bool) -> Val {
    match (text, part) {
        (Val::Text(text), Val::Text(part)) => Val::Bool(test(text, part)),
        _ => Val::Unknown,
    }
}

/// A whole number that an i64 holds.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the range is checked before"
)]
pub(super) fn whole(value: &Val) -> Option<i64> {
    match value {
        Val::Int(value) => Some(*value),
        Val::Double(value) if value.trunc() == *value && value.abs() < 2.0_f64.powi(63) => {
            Some(*value as i64)
        }
        _ => None,
    }
}

fn arithmetic(op: &str, left: &Val, right: &Val, ints: bool) -> Val {
    match (left, op, right) {
        (Val::Time(a), "_+_", Val::Span(b)) | (Val::Span(a), "_+_", Val::Time(b)) => {
            return a.checked_add(*b).map_or(Val::Unknown, Val::Time);
        }
        (Val::Time(a), "_-_", Val::Span(b)) => {
            return a.checked_sub(*b).map_or(Val::Unknown, Val::Time);
        }
        (Val::Time(a), "_-_", Val::Time(b)) | (Val::Span(a), "_-_", Val::Span(b)) => {
            return a.checked_sub(*b).map_or(Val::Unknown, Val::Span);
        }
        (Val::Span(a), "_+_", Val::Span(b)) => {
            return a.checked_add(*b).map_or(Val::Unknown, Val::Span);
        }
        _ => {}
    }
    if op == "_%_" {
        let pair = whole(left).zip(whole(right)).filter(|(_, b)| *b != 0);
        return pair.map_or(Val::Unknown, |(a, b)| Val::Int(a.wrapping_rem(b)));
    }
    if let (true, Val::Int(a), Val::Int(b)) = (ints, left, right) {
        let result = match op {
            "_+_" => a.checked_add(*b),
            "_-_" => a.checked_sub(*b),
            "_*_" => a.checked_mul(*b),
            _ => a.checked_div(*b),
        };
        return result.map_or(Val::Unknown, Val::Int);
    }
    let Some((a, b)) = real(left).zip(real(right)) else {
        return Val::Unknown;
    };
    let result = match op {
        "_+_" => a + b,
        "_-_" => a - b,
        "_*_" => a * b,
        _ => a / b,
    };
    if result.is_finite() {
        Val::Double(result)
    } else {
        Val::Unknown
    }
}
