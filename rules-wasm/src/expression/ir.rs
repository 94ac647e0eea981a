//! The typed form of an expression: every node's type is known, except the fields that hold what
//! the event says. Built by the checker, read by the planner and the emitter.

use tidegate_event::AggregateKind;

use crate::field::{Field, Type};

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Compare {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// The same comparison with its sides swapped.
    pub(crate) const fn flipped(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::Ne => Self::Ne,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }

    /// Whether it holds for two values in this order.
    pub(crate) fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
        }
    }
}

/// Where a literal must stand in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Start,
    End,
    Anywhere,
}

/// Arithmetic on two numbers of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// Ints only.
    Remainder,
}

impl Arithmetic {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// An f64 as its bits, so that it can be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bits(pub(crate) u64);

impl Bits {
    pub(crate) fn of(value: f64) -> Self {
        Self(value.to_bits())
    }

    pub(crate) fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// A yes, a no or an unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cond {
    Const(bool),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Choose(Box<Self>, Box<Self>, Box<Self>),
    /// A slot that holds a bool.
    Flag(Field),
    Has(Field),
    /// Both sides are i64: ints, timestamps or durations.
    Whole(Compare, Box<Number>, Box<Number>),
    /// Both sides are f64.
    Real(Compare, Box<Number>, Box<Number>),
    /// A dynamic slot and an i64.
    DynamicWhole(Compare, Field, Box<Number>),
    /// A dynamic slot and an f64.
    DynamicReal(Compare, Field, Box<Number>),
    /// Two slots, at least one of them dynamic, or both strings.
    Slots(Compare, Field, Field),
    Flags(Compare, Box<Self>, Box<Self>),
    /// A slot and a string.
    Text(Compare, Field, Box<str>),
    Within(Field, Vec<Box<str>>),
    Match(Place, Field, Box<str>),
}

/// A number, or unknown. Ints, timestamps and durations are i64, doubles f64.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Number {
    Whole(i64),
    Real(Bits),
    /// A slot of a known type.
    Slot(Field, Type),
    /// A dynamic slot as f64.
    DynamicReal(Field),
    /// A dynamic slot as i64: an int, or a double without fraction.
    DynamicWhole(Field),
    /// Code points of a string slot.
    Size(Field),
    /// An i64 as f64.
    ToReal(Box<Self>),
    /// On i64; overflow and division by zero are unknown.
    WholeOp(Arithmetic, Box<Self>, Box<Self>),
    /// On f64; a result that is not finite is unknown.
    RealOp(Arithmetic, Box<Self>, Box<Self>),
    Choose(Box<Cond>, Box<Self>, Box<Self>),
}

/// A string: only ever a slot or a literal, since nothing makes new ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Text {
    Literal(Box<str>),
    Field(Field),
}

/// Any value on its way through the checker.
///
/// A choice between strings or dynamic values stays a [`Operand::Choice`]: what uses it is done
/// on both branches instead, which is the same since every operation is strict.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operand {
    Cond(Cond),
    Int(Number),
    Double(Number),
    Timestamp(Number),
    Duration(Number),
    Text(Text),
    Dynamic(Field),
    Choice(Box<Cond>, Box<Self>, Box<Self>),
}

impl Operand {
    /// Its type; a choice has that of its branches where they agree.
    pub(crate) fn ty(&self) -> Type {
        match self {
            Self::Cond(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Double(_) => Type::Double,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Duration(_) => Type::Duration,
            Self::Text(_) => Type::String,
            Self::Dynamic(_) => Type::Dynamic,
            Self::Choice(_, yes, no) => {
                let (yes, no) = (yes.ty(), no.ty());
                if yes == no { yes } else { Type::Dynamic }
            }
        }
    }
}

/// One declared aggregate with what decides about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Aggregate {
    pub(crate) kind: AggregateKind,
    pub(crate) window_ms: u64,
    pub(crate) what: Condition,
}

/// What an event must be to count for an aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Condition {
    /// `count`, `last`, `first`
    Match(Cond),
    /// `sum`: the number and the condition.
    Sum(Number, Cond),
    /// `distinct`: the value and the condition.
    Distinct(Operand, Cond),
    /// `then`, `absent`
    Pair { a: Cond, b: Cond },
}

/// Something that reads fields.
pub(crate) trait Reads {
    /// Calls `read` for each field read, with whether only its presence is asked for.
    fn reads(&self, read: &mut dyn FnMut(&Field, bool));
}

impl Reads for Cond {
    fn reads(&self, read: &mut dyn FnMut(&Field, bool)) {
        match self {
            Self::Const(_) => {}
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.reads(read)),
            Self::Not(inner) => inner.reads(read),
            Self::Choose(condition, yes, no) => {
                condition.reads(read);
                yes.reads(read);
                no.reads(read);
            }
            Self::Has(field) => read(field, true),
            Self::Flag(field)
            | Self::Text(_, field, _)
            | Self::Within(field, _)
            | Self::Match(_, field, _) => read(field, false),
            Self::Whole(_, left, right) | Self::Real(_, left, right) => {
                left.reads(read);
                right.reads(read);
            }
            Self::DynamicWhole(_, field, number) | Self::DynamicReal(_, field, number) => {
                read(field, false);
                number.reads(read);
            }
            Self::Slots(_, left, right) => {
                read(left, false);
                read(right, false);
            }
            Self::Flags(_, left, right) => {
                left.reads(read);
                right.reads(read);
            }
        }
    }
}

impl Reads for Number {
    fn reads(&self, read: &mut dyn FnMut(&Field, bool)) {
        match self {
            Self::Whole(_) | Self::Real(_) => {}
            Self::Slot(field, _)
            | Self::DynamicReal(field)
            | Self::DynamicWhole(field)
            | Self::Size(field) => read(field, false),
            Self::ToReal(inner) => inner.reads(read),
            Self::WholeOp(_, left, right) | Self::RealOp(_, left, right) => {
                left.reads(read);
                right.reads(read);
            }
            Self::Choose(condition, yes, no) => {
                condition.reads(read);
                yes.reads(read);
                no.reads(read);
            }
        }
    }
}

impl Reads for Operand {
    fn reads(&self, read: &mut dyn FnMut(&Field, bool)) {
        match self {
            Self::Cond(condition) => condition.reads(read),
            Self::Int(number)
            | Self::Double(number)
            | Self::Timestamp(number)
            | Self::Duration(number) => number.reads(read),
            Self::Text(Text::Literal(_)) => {}
            Self::Text(Text::Field(field)) | Self::Dynamic(field) => read(field, false),
            Self::Choice(condition, yes, no) => {
                condition.reads(read);
                yes.reads(read);
                no.reads(read);
            }
        }
    }
}

impl Reads for Condition {
    fn reads(&self, read: &mut dyn FnMut(&Field, bool)) {
        match self {
            Self::Match(condition) => condition.reads(read),
            Self::Sum(number, condition) => {
                number.reads(read);
                condition.reads(read);
            }
            Self::Distinct(value, condition) => {
                value.reads(read);
                condition.reads(read);
            }
            Self::Pair { a, b } => {
                a.reads(read);
                b.reads(read);
            }
        }
    }
}
