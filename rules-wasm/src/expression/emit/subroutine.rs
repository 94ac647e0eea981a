//! Functions that modules call: generated only where used, one copy per module.

use std::collections::HashMap;

use wasm_encoder::ValType;

use super::body::Body;
use super::{arithmetic, contains, dynamic, words};
use crate::expression::ir::Arithmetic;

use ValType::{F64, I32, I64};

/// A function beside the two stages.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subroutine {
    /// (slot) -> f64, NaN where it holds no number.
    Number,
    /// (slot) -> i64 and whether it holds none.
    WholeOf,
    /// (slot, i64) -> order
    CompareWhole,
    /// (slot, f64) -> order
    CompareReal,
    /// (slot, slot, record) -> order
    CompareSlots,
    /// (start, len, start, len) -> order; the second in the module's memory where `literal`.
    CompareBytes {
        /// Which memory holds the second string.
        literal: bool,
    },
    /// (i64, i64) -> i64 and whether it overflowed.
    Whole(Arithmetic),
    /// (start, len) -> code points
    Size,
    /// (start, len) -> whether the literal occurs.
    Contains(Box<str>),
    /// (start, len) -> hash
    HashText,
    /// (slot, record) -> hash and whether it holds nothing that has one.
    HashSlot,
    /// (f64) -> hash
    HashReal,
    /// (i64, tag) -> hash
    Mix,
}

impl Subroutine {
    pub(super) const fn signature(&self) -> (&'static [ValType], &'static [ValType]) {
        match self {
            Self::Number => (&[I32], &[F64]),
            Self::WholeOf => (&[I32], &[I64, I32]),
            Self::CompareWhole => (&[I32, I64], &[I32]),
            Self::CompareReal => (&[I32, F64], &[I32]),
            Self::CompareSlots => (&[I32, I32, I32], &[I32]),
            Self::CompareBytes { .. } => (&[I32, I32, I32, I32], &[I32]),
            Self::Whole(_) => (&[I64, I64], &[I64, I32]),
            Self::Size => (&[I32, I32], &[I64]),
            Self::Contains(_) => (&[I32, I32], &[I32]),
            Self::HashText => (&[I32, I32], &[I64]),
            Self::HashSlot => (&[I32, I32], &[I64, I32]),
            Self::HashReal => (&[F64], &[I64]),
            Self::Mix => (&[I64, I64], &[I64]),
        }
    }

    fn write(&self, body: &mut Body, subroutines: &mut Subroutines) {
        match self {
            Self::Number => dynamic::number(body),
            Self::WholeOf => dynamic::whole_of(body),
            Self::CompareWhole => dynamic::compare_whole(body, subroutines),
            Self::CompareReal => dynamic::compare_real(body, subroutines),
            Self::CompareSlots => dynamic::compare_slots(body, subroutines),
            Self::CompareBytes { literal } => words::compare(body, *literal),
            Self::Whole(op) => arithmetic::whole(body, *op),
            Self::Size => words::size(body),
            Self::Contains(text) => contains::contains(body, text.as_bytes()),
            Self::HashText => words::hash(body, subroutines),
            Self::HashSlot => dynamic::hash(body, subroutines),
            Self::HashReal => arithmetic::hash_real(body, subroutines),
            Self::Mix => arithmetic::mix(body),
        }
    }
}

/// The subroutines of one module, numbered as they are asked for.
#[derive(Default)]
pub(super) struct Subroutines {
    list: Vec<Subroutine>,
    numbers: HashMap<Subroutine, u32>,
}

/// Functions that stand before the subroutines: the two stages.
const STAGES: u32 = 2;

impl Subroutines {
    /// The function's index in the module.
    pub(super) fn index(&mut self, subroutine: Subroutine) -> u32 {
        if let Some(&index) = self.numbers.get(&subroutine) {
            return index;
        }
        let index =
            STAGES + u32::try_from(self.list.len()).expect("subroutines are bounded by nodes");
        self.list.push(subroutine.clone());
        self.numbers.insert(subroutine, index);
        index
    }

    /// Code of all of them, in order; writing one may ask for more.
    pub(super) fn finish(mut self) -> Vec<(Subroutine, wasm_encoder::Function)> {
        let mut functions = Vec::new();
        while let Some(subroutine) = self.list.get(functions.len()).cloned() {
            let params = u32::try_from(subroutine.signature().0.len()).expect("a few parameters");
            let mut body = Body::new(params);
            subroutine.write(&mut body, &mut self);
            functions.push((subroutine, body.finish()));
        }
        functions
    }
}
