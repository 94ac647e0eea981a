//! Which comparisons change by time alone, and when.
//!
//! A comparison that reads `now` must come down to `now` against one time plus a constant, so
//! that its moment of change is known; anything else is refused rather than missed.

use super::ir::{Arithmetic, Compare, Number};
use crate::field::Field;

/// A moment at which a comparison may change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Moment {
    /// So many milliseconds after the time this field holds.
    After(Field, i64),
    /// At this time in milliseconds.
    At(i64),
}

/// `now` cannot be brought to one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unsolvable;

/// A sum: so many times `now`, so many times one field, and a constant.
struct Linear {
    now: i64,
    field: Option<(Field, i64)>,
    constant: i64,
}

/// The moments at which `left op right` may change; none where it does not read `now`.
pub(crate) fn moments(
    op: Compare,
    left: &Number,
    right: &Number,
) -> Result<Vec<Moment>, Unsolvable> {
    if !reads_now(left) && !reads_now(right) {
        return Ok(Vec::new());
    }
    let sum = linear(left)
        .and_then(|left| left.minus(linear(right)?))
        .ok_or(Unsolvable)?;
    // sign * (now - field) + constant, compared with 0
    let sign = match sum.now {
        0 => return Ok(Vec::new()),
        1 | -1 => sum.now,
        _ => return Err(Unsolvable),
    };
    let op = if sign == 1 { op } else { op.flipped() };
    let threshold = sum.constant.checked_mul(-sign).ok_or(Unsolvable)?;
    let edges: &[i64] = match op {
        Compare::Lt | Compare::Ge => &[0],
        Compare::Le | Compare::Gt => &[1],
        Compare::Eq | Compare::Ne => &[0, 1],
    };
    edges
        .iter()
        .map(|edge| {
            let ms = threshold.checked_add(*edge).ok_or(Unsolvable)?;
            match &sum.field {
                None => Ok(Moment::At(ms)),
                Some((field, times)) if *times == -sign => Ok(Moment::After(field.clone(), ms)),
                Some(_) => Err(Unsolvable),
            }
        })
        .collect()
}

fn reads_now(number: &Number) -> bool {
    match number {
        Number::Slot(field, _) => *field == Field::Now,
        Number::WholeOp(_, left, right) | Number::RealOp(_, left, right) => {
            reads_now(left) || reads_now(right)
        }
        Number::Choose(_, yes, no) => reads_now(yes) || reads_now(no),
        Number::ToReal(inner) => reads_now(inner),
        Number::Whole(_)
        | Number::Real(_)
        | Number::DynamicReal(_)
        | Number::DynamicWhole(_)
        | Number::Size(_) => false,
    }
}

fn linear(number: &Number) -> Option<Linear> {
    match number {
        Number::Whole(constant) => Some(Linear {
            now: 0,
            field: None,
            constant: *constant,
        }),
        Number::Slot(Field::Now, _) => Some(Linear {
            now: 1,
            field: None,
            constant: 0,
        }),
        Number::Slot(field, _) => Some(Linear {
            now: 0,
            field: Some((field.clone(), 1)),
            constant: 0,
        }),
        Number::WholeOp(Arithmetic::Add, left, right) => {
            let negated = Linear {
                now: 0,
                field: None,
                constant: 0,
            }
            .minus(linear(right)?)?;
            linear(left)?.minus(negated)
        }
        Number::WholeOp(Arithmetic::Subtract, left, right) => linear(left)?.minus(linear(right)?),
        Number::WholeOp(..)
        | Number::Real(_)
        | Number::DynamicReal(_)
        | Number::DynamicWhole(_)
        | Number::Size(_)
        | Number::ToReal(_)
        | Number::RealOp(..)
        | Number::Choose(..) => None,
    }
}

impl Linear {
    /// None on overflow or where two different fields meet.
    fn minus(self, other: Self) -> Option<Self> {
        let field = match (self.field, other.field) {
            (field, None) => field,
            (None, Some((field, times))) => Some((field, times.checked_neg()?)),
            (Some((left, a)), Some((right, b))) if left == right => {
                let times = a.checked_sub(b)?;
                (times != 0).then_some((left, times))
            }
            (Some(_), Some(_)) => return None,
        };
        Some(Self {
            now: self.now.checked_sub(other.now)?,
            field,
            constant: self.constant.checked_sub(other.constant)?,
        })
    }
}
