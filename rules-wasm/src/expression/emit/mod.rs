//! The typed form to WASM: segments fused into modules of about a hundred, each with the
//! conditions of the aggregates that appear in it first.
//!
//! A module has two functions. What several of its rules ask is computed once per call, before
//! the rules, into locals.

mod body;
mod value;
mod cond;
mod text;
mod hits;
mod subroutine;
mod arithmetic;
mod dynamic;
mod words;
mod contains;
pub(crate) mod hash;
mod module;

use std::collections::HashMap;
use std::ops::Range;

use wasm_encoder::ValType;

use super::Chunk;
use super::check::AggregateTable;
use super::ir::{Aggregate, Cond};
use super::planning::Layout;
use crate::limits::Limits;
use body::Body;
use subroutine::{Subroutine, Subroutines};

/// The three outcomes, as verdict bytes and on the stack.
pub(crate) const FALSE: i32 = 0;
/// Yes.
pub(crate) const TRUE: i32 = 1;
/// Neither.
pub(crate) const UNKNOWN: i32 = 2;

/// One segment, ready for code.
pub(crate) struct Piece<'a> {
    pub(crate) condition: &'a Cond,
    pub(crate) nodes: usize,
    /// The aggregates that appear in it first.
    pub(crate) aggregates: Range<usize>,
}

/// Compiles all segments, in modules of a bounded size.
pub(crate) fn chunks(
    pieces: &[Piece<'_>],
    table: &AggregateTable,
    layout: &Layout,
    limits: &Limits,
) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut first = 0;
    while first < pieces.len() {
        let mut nodes = 0;
        let fitting = pieces[first..]
            .iter()
            .take(limits.chunk_segments_max)
            .take_while(|piece| {
                nodes += piece.nodes;
                nodes <= limits.chunk_nodes_max
            })
            .count();
        let segments = first..first + fitting.max(1);
        first = segments.end;
        chunks.push(module::module(segments, pieces, table, layout));
    }
    chunks
}

/// Locals of a stage that hold a value only between two instructions.
struct Scratch {
    flag: u32,
    start: u32,
    len: u32,
    real: u32,
    whole: u32,
    /// Where the next hit goes.
    hit: u32,
}

impl Scratch {
    fn new(body: &mut Body) -> Self {
        Self {
            flag: body.local(ValType::I32),
            start: body.local(ValType::I32),
            len: body.local(ValType::I32),
            real: body.local(ValType::F64),
            whole: body.local(ValType::I64),
            hit: body.local(ValType::I32),
        }
    }
}

/// Long literals, in the module's own memory.
struct Literals {
    begin: usize,
    bytes: Vec<u8>,
}

/// Writes one stage of one module.
struct Emitter<'a> {
    layout: &'a Layout,
    subroutines: &'a mut Subroutines,
    literals: &'a mut Literals,
    scratch: Scratch,
    /// What was computed before, and the local that holds it.
    shared: HashMap<&'a Cond, u32>,
}

impl<'a> Emitter<'a> {
    fn new(
        layout: &'a Layout,
        subroutines: &'a mut Subroutines,
        literals: &'a mut Literals,
        body: &mut Body,
    ) -> Self {
        Self {
            layout,
            subroutines,
            literals,
            scratch: Scratch::new(body),
            shared: HashMap::new(),
        }
    }

    fn call(&mut self, body: &mut Body, subroutine: Subroutine) {
        let index = self.subroutines.index(subroutine);
        body.op().call(index);
    }

    /// Address of a literal in the module's own memory.
    fn literal(&mut self, text: &str) -> i32 {
        let place = self.literals.begin + self.literals.bytes.len();
        self.literals.bytes.extend_from_slice(text.as_bytes());
        i32::try_from(place).expect("literals are bounded by the text of a chunk")
    }

    /// Computes into locals what at least two of the rules ask.
    fn hoist(&mut self, body: &mut Body, conditions: impl Iterator<Item = &'a Cond>) {
        let mut counts: Vec<&'a Cond> = Vec::new();
        let mut uses: HashMap<&'a Cond, usize> = HashMap::new();
        for condition in conditions {
            atoms(condition, &mut |atom| {
                let uses = uses.entry(atom).or_insert(0);
                *uses += 1;
                if *uses == 2 {
                    counts.push(atom);
                }
            });
        }
        for atom in counts {
            self.cond(body, atom);
            let local = body.local(ValType::I32);
            body.op().local_set(local);
            self.shared.insert(atom, local);
        }
    }
}

/// The comparisons and tests of a condition. A plain slot is cheaper than a local to keep it in.
fn atoms<'a>(node: &'a Cond, found: &mut impl FnMut(&'a Cond)) {
    match node {
        Cond::Const(_) | Cond::Flag(_) | Cond::Has(_) => {}
        Cond::All(parts) | Cond::Any(parts) => parts.iter().for_each(|part| atoms(part, found)),
        Cond::Not(inner) => atoms(inner, found),
        Cond::Choose(condition, yes, no) => {
            atoms(condition, found);
            atoms(yes, found);
            atoms(no, found);
        }
        Cond::Flags(_, left, right) => {
            atoms(left, found);
            atoms(right, found);
        }
        Cond::Whole(..)
        | Cond::Real(..)
        | Cond::DynamicWhole(..)
        | Cond::DynamicReal(..)
        | Cond::Slots(..)
        | Cond::Text(..)
        | Cond::Within(..)
        | Cond::Match(..) => found(node),
    }
}

/// The conditions of an aggregate, for counting what is shared.
fn conditions(aggregate: &Aggregate) -> impl Iterator<Item = &Cond> {
    use super::ir::Condition;
    let (first, second) = match &aggregate.what {
        Condition::Match(condition)
        | Condition::Sum(_, condition)
        | Condition::Distinct(_, condition) => (condition, None),
        Condition::Pair { a, b } => (a, Some(b)),
    };
    std::iter::once(first).chain(second)
}
