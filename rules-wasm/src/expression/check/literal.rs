//! Literals, and the two types that are written as calls: `timestamp("...")`, `duration("...")`.

use cel::common::ast::{Expr, LiteralValue};
use cel::parser::Expression;
use tidegate_event::Timestamp;
use tidegate_event::time::parse_duration_ms;

use super::Checker;
use crate::error::Mistake;
use crate::expression::ir::{Bits, Cond, Number, Operand, Text};

impl Checker<'_, '_> {
    pub(super) fn literal(&mut self, id: u64, value: &LiteralValue) -> Option<Operand> {
        match value {
            LiteralValue::Boolean(value) => Some(Operand::Cond(Cond::Const(value.into_inner()))),
            LiteralValue::Int(value) => Some(Operand::Int(Number::Whole(value.into_inner()))),
            LiteralValue::Double(value) => {
                let value = value.into_inner();
                if !value.is_finite() {
                    return self.refuse(id, Mistake::Number);
                }
                Some(Operand::Double(Number::Real(Bits::of(value))))
            }
            LiteralValue::String(text) => Some(Operand::Text(Text::Literal(text.inner().into()))),
            LiteralValue::Null => self.refuse(id, Mistake::Null),
            LiteralValue::UInt(_) => self.refuse(
                id,
                Mistake::Unsupported("an unsigned number: write it without u; it"),
            ),
            LiteralValue::Bytes(_) => self.refuse(id, Mistake::Unsupported("a bytes literal")),
        }
    }

    pub(super) fn timestamp(&mut self, node: &Expression, args: &[Expression]) -> Option<Operand> {
        let text = self.only_string(node, args, "timestamp")?;
        let Some(at) = Timestamp::parse_rfc3339(&text) else {
            return self.refuse(node.id, Mistake::Timestamp);
        };
        Some(Operand::Timestamp(Number::Whole(at.0)))
    }

    pub(super) fn duration(&mut self, node: &Expression, args: &[Expression]) -> Option<Operand> {
        let text = self.only_string(node, args, "duration")?;
        let Some(ms) = duration_ms(&text) else {
            return self.refuse(node.id, Mistake::Duration);
        };
        Some(Operand::Duration(Number::Whole(ms)))
    }

    /// The window of an aggregate in milliseconds.
    pub(super) fn window(&mut self, node: &Expression) -> Option<u64> {
        let Expr::Literal(LiteralValue::String(text)) = &node.expr else {
            self.mistake(node.id, Mistake::Literal("a window"));
            return None;
        };
        match parse_duration_ms(text.inner()) {
            Ok(0) => self.mistake(node.id, Mistake::EmptyWindow),
            Ok(ms) => return Some(ms),
            Err(_) => self.mistake(node.id, Mistake::Duration),
        }
        None
    }

    fn only_string(
        &mut self,
        node: &Expression,
        args: &[Expression],
        function: &'static str,
    ) -> Option<String> {
        let [
            Expression {
                expr: Expr::Literal(LiteralValue::String(text)),
                ..
            },
        ] = args
        else {
            self.mistake(node.id, Mistake::Literal(function));
            return None;
        };
        Some(text.inner().to_owned())
    }
}

/// Reads `"7d"`, `"1h30m"`, `"-90s"` into milliseconds.
fn duration_ms(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0_i64;
    loop {
        let unit = rest.find(|c: char| !c.is_ascii_digit())?;
        let end = rest[unit..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |n| unit + n);
        let ms = i64::try_from(parse_duration_ms(&rest[..end]).ok()?).ok()?;
        total = total.checked_add(ms)?;
        rest = &rest[end..];
        if rest.is_empty() {
            return Some(sign * total);
        }
    }
}
