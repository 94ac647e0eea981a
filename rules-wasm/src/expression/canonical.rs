//! The canonical text of an aggregate, whose hash is its key in profiles and journals.
//!
//! Spacing, brackets and the spelling of windows make no difference to it. It must not change
//! between versions: a changed text is a new aggregate, which starts empty.

use std::fmt::Write;

use tidegate_event::AggregateKind;

use super::ir::{Aggregate, Cond, Condition, Number, Operand, Place, Text};

impl Aggregate {
    /// The function's name.
    pub(crate) const fn function(&self) -> &'static str {
        match self.kind {
            AggregateKind::Count => "count",
            AggregateKind::Sum => "sum",
            AggregateKind::Distinct => "distinct",
            AggregateKind::Last => "last",
            AggregateKind::First => "first",
            AggregateKind::Then => "then",
            AggregateKind::Absent => "absent",
        }
    }

    /// The canonical text; the window is in milliseconds.
    pub(crate) fn canonical(&self) -> String {
        let mut out = String::new();
        out.push_str(self.function());
        out.push('(');
        match &self.what {
            Condition::Match(condition) => cond(&mut out, condition),
            Condition::Sum(value, condition) => {
                number(&mut out, value);
                out.push(',');
                cond(&mut out, condition);
            }
            Condition::Distinct(value, condition) => {
                operand(&mut out, value);
                out.push(',');
                cond(&mut out, condition);
            }
            Condition::Pair { a, b } => {
                cond(&mut out, a);
                out.push(',');
                cond(&mut out, b);
            }
        }
        push(&mut out, format_args!(",{})", self.window_ms));
        out
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes any text");
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

fn joined(out: &mut String, parts: &[Cond], separator: &str) {
    out.push('(');
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        cond(out, part);
    }
    out.push(')');
}

fn chosen(
    out: &mut String,
    condition: &Cond,
    yes: impl FnOnce(&mut String),
    no: impl FnOnce(&mut String),
) {
    out.push('(');
    cond(out, condition);
    out.push('?');
    yes(out);
    out.push(':');
    no(out);
    out.push(')');
}

fn cond(out: &mut String, node: &Cond) {
    match node {
        Cond::Const(value) => push(out, format_args!("{value}")),
        Cond::All(parts) => joined(out, parts, "&&"),
        Cond::Any(parts) => joined(out, parts, "||"),
        Cond::Not(inner) => {
            out.push('!');
            cond(out, inner);
        }
        Cond::Choose(condition, yes, no) => {
            chosen(out, condition, |out| cond(out, yes), |out| cond(out, no));
        }
        Cond::Flag(field) => push(out, format_args!("{field}")),
        Cond::Has(field) => push(out, format_args!("has({field})")),
        Cond::Whole(op, left, right) | Cond::Real(op, left, right) => {
            number(out, left);
            out.push_str(op.as_str());
            number(out, right);
        }
        Cond::DynamicWhole(op, field, value) | Cond::DynamicReal(op, field, value) => {
            push(out, format_args!("{field}{}", op.as_str()));
            number(out, value);
        }
        Cond::Slots(op, left, right) => push(out, format_args!("{left}{}{right}", op.as_str())),
        Cond::Flags(op, left, right) => {
            out.push('(');
            cond(out, left);
            out.push_str(op.as_str());
            cond(out, right);
            out.push(')');
        }
        Cond::Text(op, field, text) => {
            push(out, format_args!("{field}{}", op.as_str()));
            quoted(out, text);
        }
        Cond::Within(field, texts) => within(out, &field.to_string(), texts),
        Cond::Match(place, field, text) => {
            let function = match place {
                Place::Start => "startsWith",
                Place::End => "endsWith",
                Place::Anywhere => "contains",
            };
            push(out, format_args!("{field}.{function}("));
            quoted(out, text);
            out.push(')');
        }
    }
}

fn within(out: &mut String, field: &str, texts: &[Box<str>]) {
    push(out, format_args!("{field} in ["));
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quoted(out, text);
    }
    out.push(']');
}

fn number(out: &mut String, node: &Number) {
    match node {
        Number::Whole(value) => push(out, format_args!("{value}")),
        Number::Real(bits) => push(out, format_args!("{:?}", bits.get())),
        Number::Slot(field, _) | Number::DynamicReal(field) | Number::DynamicWhole(field) => {
            push(out, format_args!("{field}"));
        }
        Number::Size(field) => push(out, format_args!("size({field})")),
        Number::ToReal(inner) => number(out, inner),
        Number::WholeOp(op, left, right) | Number::RealOp(op, left, right) => {
            out.push('(');
            number(out, left);
            out.push_str(op.as_str());
            number(out, right);
            out.push(')');
        }
        Number::Choose(condition, yes, no) => {
            chosen(
                out,
                condition,
                |out| number(out, yes),
                |out| number(out, no),
            );
        }
    }
}

fn operand(out: &mut String, node: &Operand) {
    match node {
        Operand::Cond(condition) => cond(out, condition),
        Operand::Int(value)
        | Operand::Double(value)
        | Operand::Timestamp(value)
        | Operand::Duration(value) => number(out, value),
        Operand::Text(Text::Literal(text)) => quoted(out, text),
        Operand::Text(Text::Field(field)) | Operand::Dynamic(field) => {
            push(out, format_args!("{field}"));
        }
        Operand::Choice(condition, yes, no) => {
            chosen(
                out,
                condition,
                |out| operand(out, yes),
                |out| operand(out, no),
            );
        }
    }
}
