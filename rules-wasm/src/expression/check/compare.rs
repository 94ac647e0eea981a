//! Comparisons and `in`.

use cel::common::ast::Expr;
use cel::parser::Expression;

use super::Checker;
use crate::error::Mistake;
use crate::expression::ir::{Compare, Cond, Number, Operand, Text};
use crate::expression::wake;
use crate::field::{Field, Type};

impl Checker<'_, '_> {
    pub(super) fn compare(
        &mut self,
        id: u64,
        op: Compare,
        left: Operand,
        right: Operand,
    ) -> Option<Cond> {
        self.count(id, 1)?;
        Some(match (left, right) {
            (Operand::Choice(condition, yes, no), right) => {
                let yes = self.compare(id, op, *yes, right.clone())?;
                let no = self.compare(id, op, *no, right)?;
                Cond::Choose(condition, Box::new(yes), Box::new(no))
            }
            (left, Operand::Choice(condition, yes, no)) => {
                let yes = self.compare(id, op, left.clone(), *yes)?;
                let no = self.compare(id, op, left, *no)?;
                Cond::Choose(condition, Box::new(yes), Box::new(no))
            }
            (Operand::Int(left), Operand::Int(right)) => {
                Cond::Whole(op, Box::new(left), Box::new(right))
            }
            (Operand::Timestamp(left), Operand::Timestamp(right))
            | (Operand::Duration(left), Operand::Duration(right)) => {
                self.compare_times(id, op, left, right)?
            }
            (Operand::Double(left), Operand::Double(right)) => real(op, left, right),
            (Operand::Int(left), Operand::Double(right)) => {
                real(op, Number::ToReal(Box::new(left)), right)
            }
            (Operand::Double(left), Operand::Int(right)) => {
                real(op, left, Number::ToReal(Box::new(right)))
            }
            (Operand::Cond(left), Operand::Cond(right)) => {
                Cond::Flags(op, Box::new(left), Box::new(right))
            }
            (Operand::Text(left), Operand::Text(right)) => texts(op, left, right),
            (left, right) => {
                let (left_type, right_type) = (left.ty(), right.ty());
                let found = match (left, right) {
                    (Operand::Dynamic(field), right) => dynamic(op, field, right),
                    (left, Operand::Dynamic(field)) => dynamic(op.flipped(), field, left),
                    _ => None,
                };
                if found.is_none() {
                    self.cannot_compare(id, op, left_type, right_type);
                }
                return found;
            }
        })
    }

    fn compare_times(&mut self, id: u64, op: Compare, left: Number, right: Number) -> Option<Cond> {
        match wake::moments(op, &left, &right) {
            Ok(moments) => {
                self.moments.extend(moments);
                Some(Cond::Whole(op, Box::new(left), Box::new(right)))
            }
            Err(wake::Unsolvable) => {
                self.mistake(id, Mistake::Now);
                None
            }
        }
    }

    fn cannot_compare(&mut self, id: u64, op: Compare, left: Type, right: Type) {
        let note = match (left, right) {
            (Type::Duration, _) | (_, Type::Duration) => {
                "; write a duration as in duration(\"7d\")"
            }
            (Type::Timestamp, _) | (_, Type::Timestamp) => {
                "; write a time as in timestamp(\"2026-12-24T18:00:00Z\")"
            }
            _ => "",
        };
        let operator = op.as_str();
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

    pub(super) fn within_list(
        &mut self,
        id: u64,
        value: &Expression,
        list: &Expression,
    ) -> Option<Operand> {
        let value = self.operand(value);
        let Expr::List(elements) = &list.expr else {
            return self.refuse(list.id, Mistake::List);
        };
        let mut literals = Vec::with_capacity(elements.elements.len());
        for element in &elements.elements {
            literals.push(self.operand(element)?);
        }
        let value = value?;
        let one_type = literals.windows(2).all(|pair| pair[0].ty() == pair[1].ty());
        let constant = literals.iter().all(is_literal);
        if literals.is_empty() || !one_type || !constant || !elements.optional_indices.is_empty() {
            return self.refuse(list.id, Mistake::List);
        }
        self.within_literals(id, value, &literals)
            .map(Operand::Cond)
    }

    fn within_literals(&mut self, id: u64, value: Operand, literals: &[Operand]) -> Option<Cond> {
        self.count(id, literals.len())?;
        match value {
            Operand::Choice(condition, yes, no) => {
                let yes = self.within_literals(id, *yes, literals)?;
                let no = self.within_literals(id, *no, literals)?;
                Some(Cond::Choose(condition, Box::new(yes), Box::new(no)))
            }
            Operand::Text(Text::Field(field)) | Operand::Dynamic(field)
                if literals
                    .iter()
                    .all(|literal| matches!(literal, Operand::Text(_))) =>
            {
                Some(Cond::Within(
                    field,
                    literals.iter().filter_map(text_of).collect(),
                ))
            }
            value => {
                let mut any = Vec::with_capacity(literals.len());
                for literal in literals {
                    any.push(self.compare(id, Compare::Eq, value.clone(), literal.clone())?);
                }
                Some(Cond::Any(any))
            }
        }
    }
}

/// A dynamic slot against a value; JSON holds neither timestamps nor durations.
fn dynamic(op: Compare, field: Field, right: Operand) -> Option<Cond> {
    Some(match right {
        Operand::Int(right) => Cond::DynamicWhole(op, field, Box::new(right)),
        Operand::Double(right) => Cond::DynamicReal(op, field, Box::new(right)),
        Operand::Text(right) => texts(op, Text::Field(field), right),
        Operand::Dynamic(right) => Cond::Slots(op, field, right),
        Operand::Cond(right) => Cond::Flags(op, Box::new(Cond::Flag(field)), Box::new(right)),
        Operand::Timestamp(_) | Operand::Duration(_) | Operand::Choice(..) => return None,
    })
}

fn real(op: Compare, left: Number, right: Number) -> Cond {
    Cond::Real(op, Box::new(left), Box::new(right))
}

fn texts(op: Compare, left: Text, right: Text) -> Cond {
    match (left, right) {
        (Text::Field(field), Text::Literal(text)) => Cond::Text(op, field, text),
        (Text::Literal(text), Text::Field(field)) => Cond::Text(op.flipped(), field, text),
        (Text::Field(left), Text::Field(right)) => Cond::Slots(op, left, right),
        (Text::Literal(left), Text::Literal(right)) => {
            Cond::Const(op.holds(left.as_bytes().cmp(right.as_bytes())))
        }
    }
}

fn text_of(literal: &Operand) -> Option<Box<str>> {
    match literal {
        Operand::Text(Text::Literal(text)) => Some(text.clone()),
        _ => None,
    }
}

/// A literal, or what is written as one (a negative number, a duration, a timestamp).
fn is_literal(value: &Operand) -> bool {
    match value {
        Operand::Cond(Cond::Const(_)) | Operand::Text(Text::Literal(_)) => true,
        Operand::Int(number)
        | Operand::Double(number)
        | Operand::Timestamp(number)
        | Operand::Duration(number) => matches!(number, Number::Whole(_) | Number::Real(_)),
        Operand::Cond(_)
        | Operand::Text(Text::Field(_))
        | Operand::Dynamic(_)
        | Operand::Choice(..) => false,
    }
}
