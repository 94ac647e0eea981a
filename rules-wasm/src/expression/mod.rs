//! The expression compiler: text, syntax tree, typed form, plan, WASM.
//!
//! Compiles only; running the result is [`crate::Ruleset`]'s and [`crate::Evaluator`]'s.

mod parse;
mod habits;
mod suggest;
mod ir;
mod check;
mod canonical;
mod wake;
mod planning;
mod emit;

use std::collections::HashMap;
use std::ops::Range;

use tidegate_event::SegmentId;

use crate::error::{ExpressionError, Mistake};
use crate::limits::Limits;
use crate::plan::Plan;
use check::{AggregateTable, Checked};
use parse::Faults;

#[cfg(test)]
pub(crate) use emit::hash;

/// One segment as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSource {
    /// Its name, unique in the catalog.
    pub name: String,
    /// The expression.
    pub when: String,
}

/// Compiled segments, not loaded yet.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub(crate) plan: Plan,
    pub(crate) chunks: Vec<Chunk>,
}

impl Compiled {
    /// What the host has to do for these segments.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// One WASM module: some segments, and the aggregates that appear in them first.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) wasm: Vec<u8>,
    /// Which of the plan's segments.
    pub(crate) segments: Range<usize>,
    /// How many aggregates it has conditions of.
    pub(crate) conditions: usize,
    /// Where hits begin in its memory; verdicts begin at 0.
    pub(crate) hits_at: usize,
    /// Bytes of its memory.
    pub(crate) memory_bytes: usize,
}

/// Compiles all segments together with the default limits.
///
/// # Errors
/// Every mistake of every segment.
pub fn compile(segments: &[SegmentSource]) -> Result<Compiled, Vec<ExpressionError>> {
    compile_within(segments, &Limits::default())
}

/// Compiles all segments together.
///
/// # Errors
/// Every mistake of every segment.
pub fn compile_within(
    segments: &[SegmentSource],
    limits: &Limits,
) -> Result<Compiled, Vec<ExpressionError>> {
    if segments.len() > limits.segments_max {
        let segment = &segments[limits.segments_max].name;
        return Err(vec![whole(
            segment,
            Mistake::TooManySegments(limits.segments_max),
        )]);
    }
    let mut errors = name_errors(segments);
    let mut table = AggregateTable::default();
    let mut checked = Vec::with_capacity(segments.len());
    for source in segments {
        let mut faults = Faults::new(&source.name, &source.when);
        let first_aggregate = table.entries().len();
        if let Some(found) = parse::parse(&source.when, limits, &mut faults)
            .and_then(|parsed| check::check(&parsed, &mut table, limits, &mut faults))
        {
            checked.push((
                source.name.as_str(),
                found,
                first_aggregate..table.entries().len(),
            ));
        }
        errors.extend(faults.into_inner());
    }
    errors.extend(size_error(&checked, limits));
    if !errors.is_empty() {
        return Err(errors);
    }
    let segments: Vec<(&str, &Checked)> = checked
        .iter()
        .map(|(name, checked, _)| (*name, checked))
        .collect();
    let (plan, layout) = planning::plan(&segments, &table);
    if plan.fields.len() > limits.slots_max {
        return Err(vec![whole("", Mistake::TooManySlots(limits.slots_max))]);
    }
    let pieces: Vec<emit::Piece<'_>> = checked
        .iter()
        .map(|(_, checked, aggregates)| emit::Piece {
            condition: &checked.condition,
            nodes: checked.nodes,
            aggregates: aggregates.clone(),
        })
        .collect();
    Ok(Compiled {
        plan,
        chunks: emit::chunks(&pieces, &table, &layout, limits),
    })
}

fn whole(segment: &str, message: Mistake) -> ExpressionError {
    ExpressionError {
        segment: segment.into(),
        message,
        line: 1,
        column: 1,
    }
}

fn name_errors(segments: &[SegmentSource]) -> Vec<ExpressionError> {
    let mut seen: HashMap<SegmentId, &str> = HashMap::with_capacity(segments.len());
    let mut errors = Vec::new();
    for source in segments {
        match seen.insert(SegmentId::of(&source.name), &source.name) {
            Some(other) if other == source.name => {
                errors.push(whole(&source.name, Mistake::DuplicateName));
            }
            Some(other) => errors.push(whole(&source.name, Mistake::NameCollision(other.into()))),
            None => {}
        }
    }
    errors
}

fn size_error(
    checked: &[(&str, Checked, Range<usize>)],
    limits: &Limits,
) -> Option<ExpressionError> {
    let mut nodes = 0_usize;
    checked.iter().find_map(|(name, checked, _)| {
        nodes = nodes.saturating_add(checked.nodes);
        (nodes > limits.ruleset_nodes_max)
            .then(|| whole(name, Mistake::RulesetTooLarge(limits.ruleset_nodes_max)))
    })
}
