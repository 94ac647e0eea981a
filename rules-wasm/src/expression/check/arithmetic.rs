//! `+ - * / %` and unary minus.
//!
//! Two ints stay ints. Where a double or a dynamic value takes part, or may, the result is a
//! double; `%` is on ints alone.

use super::Checker;
use crate::error::Mistake;
use crate::expression::ir::{Arithmetic, Bits, Number, Operand};
use crate::field::Type;

impl Checker<'_, '_> {
    pub(super) fn arithmetic(
        &mut self,
        id: u64,
        op: Arithmetic,
        left: Operand,
        right: Operand,
    ) -> Option<Operand> {
        self.count(id, 1)?;
        let (left_type, right_type) = (left.ty(), right.ty());
        let result = numbers(op, left, right);
        if result.is_none() {
            let note = match (left_type, right_type) {
                (Type::String, _) | (_, Type::String) => "; strings cannot be joined",
                _ => "",
            };
            let operator = op.as_str();
            let (left, right) = (left_type, right_type);
            self.mistake(
                id,
                Mistake::Operands {
                    operator,
                    left,
                    right,
                    note,
                },
            );
        }
        result
    }

    pub(super) fn negate(&mut self, id: u64, value: Operand) -> Option<Operand> {
        let whole = |number| match number {
            Number::Whole(value) if value != i64::MIN => Number::Whole(-value),
            number => whole_op(Arithmetic::Subtract, Number::Whole(0), number),
        };
        match value {
            Operand::Int(number) => Some(Operand::Int(whole(number))),
            Operand::Duration(number) => Some(Operand::Duration(whole(number))),
            Operand::Double(Number::Real(bits)) => {
                Some(Operand::Double(Number::Real(Bits::of(-bits.get()))))
            }
            Operand::Double(_) | Operand::Dynamic(_) | Operand::Choice(..) => {
                let zero = Operand::Double(Number::Real(Bits::of(0.0)));
                self.arithmetic(id, Arithmetic::Subtract, zero, value)
            }
            Operand::Cond(_) | Operand::Timestamp(_) | Operand::Text(_) => {
                let (what, expected, found) = ("the operand of -", "number", value.ty());
                self.refuse(
                    id,
                    Mistake::WrongType {
                        what,
                        expected,
                        found,
                    },
                )
            }
        }
    }

    /// The value as a double. An error names it `what` where it is not a number.
    pub(super) fn real(&mut self, id: u64, value: Operand, what: &'static str) -> Option<Number> {
        let found = value.ty();
        let number = real_of(value);
        if number.is_none() {
            self.mistake(
                id,
                Mistake::WrongType {
                    what,
                    expected: "number",
                    found,
                },
            );
        }
        number
    }
}

fn numbers(op: Arithmetic, left: Operand, right: Operand) -> Option<Operand> {
    use Arithmetic::{Add, Remainder, Subtract};
    Some(match (left, op, right) {
        (Operand::Int(left), op, Operand::Int(right)) => Operand::Int(whole_op(op, left, right)),
        (Operand::Timestamp(left), Add | Subtract, Operand::Duration(right))
        | (Operand::Duration(left), Add, Operand::Timestamp(right)) => {
            Operand::Timestamp(whole_op(op, left, right))
        }
        (Operand::Timestamp(left), Subtract, Operand::Timestamp(right))
        | (Operand::Duration(left), Add | Subtract, Operand::Duration(right)) => {
            Operand::Duration(whole_op(op, left, right))
        }
        (left, Remainder, right) => {
            Operand::Int(whole_op(Remainder, whole_of(left)?, whole_of(right)?))
        }
        (left, op, right) => {
            let (left, right) = (real_of(left)?, real_of(right)?);
            Operand::Double(Number::RealOp(op, Box::new(left), Box::new(right)))
        }
    })
}

fn whole_op(op: Arithmetic, left: Number, right: Number) -> Number {
    Number::WholeOp(op, Box::new(left), Box::new(right))
}

fn whole_of(value: Operand) -> Option<Number> {
    match value {
        Operand::Int(number) => Some(number),
        Operand::Dynamic(field) => Some(Number::DynamicWhole(field)),
        Operand::Choice(condition, yes, no) => {
            let (yes, no) = (whole_of(*yes)?, whole_of(*no)?);
            Some(Number::Choose(condition, Box::new(yes), Box::new(no)))
        }
        Operand::Cond(_)
        | Operand::Double(_)
        | Operand::Timestamp(_)
        | Operand::Duration(_)
        | Operand::Text(_) => None,
    }
}

fn real_of(value: Operand) -> Option<Number> {
    match value {
        Operand::Int(number) => Some(Number::ToReal(Box::new(number))),
        Operand::Double(number) => Some(number),
        Operand::Dynamic(field) => Some(Number::DynamicReal(field)),
        Operand::Choice(condition, yes, no) => {
            let (yes, no) = (real_of(*yes)?, real_of(*no)?);
            Some(Number::Choose(condition, Box::new(yes), Box::new(no)))
        }
        Operand::Cond(_) | Operand::Timestamp(_) | Operand::Duration(_) | Operand::Text(_) => None,
    }
}
