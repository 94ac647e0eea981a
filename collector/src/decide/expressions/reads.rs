//! What the expressions of one generation read, in the order in which it is filled in.

use tidegate_event::AggregateSpec;
use tidegate_rules_wasm::{Field, Plan, SegmentPlan, Wake};

use super::SlotSet;
use crate::decide::rules::RulesError;
use crate::profile::aggregate::CellKey;

/// Shared by all evaluators.
#[derive(Debug)]
pub(in crate::decide) struct Reads {
    /// Event fields to fill: slot and field.
    pub(super) event_slots: Vec<(usize, Field)>,
    /// Fields of session, profile and clock to fill.
    pub(super) state_slots: Vec<(usize, Field)>,
    /// Aggregates ordered by cell key.
    pub(super) aggregates: Vec<(CellKey, AggregateSpec)>,
    /// For each of [`Reads::aggregates`]: the slot that shows it, and its index in the plan.
    pub(super) aggregate_slots: Vec<(Option<usize>, usize)>,
    /// By the segment's position: event fields that must be present; None where it reads none.
    pub(super) needs: Vec<Option<SlotSet>>,
    /// When time alone may change a verdict, of all segments that read no event field; each once.
    pub(super) wakes: Vec<Wake>,
}

impl Reads {
    /// # Errors
    /// [`RulesError::Collision`]: two aggregates share a key.
    pub(in crate::decide) fn of(plan: &Plan) -> Result<Self, RulesError> {
        let aggregates = ordered(&plan.aggregates)?;
        let aggregate_slots = aggregates
            .iter()
            .map(|(_, index)| (plan.slot(&Field::Aggregate(*index)), *index))
            .collect();
        let fields = || plan.fields.iter().cloned().enumerate();
        let slots = plan.fields.len();
        let segments = plan.segments.iter();
        Ok(Self {
            event_slots: fields().filter(|(_, f)| f.is_event_field()).collect(),
            state_slots: fields()
                .filter(|(_, f)| !f.is_event_field() && !matches!(f, Field::Aggregate(_)))
                .collect(),
            aggregates: aggregates
                .into_iter()
                .map(|(key, index)| (key, plan.aggregates[index]))
                .collect(),
            aggregate_slots,
            needs: segments.map(|segment| needs(segment, slots)).collect(),
            wakes: wakes(plan),
        })
    }
}

fn needs(segment: &SegmentPlan, slots: usize) -> Option<SlotSet> {
    let mut needs = SlotSet::with_slots(slots);
    for slot in &segment.event_slots {
        needs.insert(*slot);
    }
    (!segment.event_slots.is_empty()).then_some(needs)
}

fn ordered(aggregates: &[AggregateSpec]) -> Result<Vec<(CellKey, usize)>, RulesError> {
    let mut keyed: Vec<(CellKey, usize)> = aggregates
        .iter()
        .enumerate()
        .map(|(index, spec)| (CellKey::of(spec), index))
        .collect();
    keyed.sort_unstable();
    if let Some(pair) = keyed.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let name = |index: usize| format!("aggregate {:08x}", aggregates[index].id.0);
        return Err(RulesError::Collision(name(pair[0].1), name(pair[1].1)));
    }
    Ok(keyed)
}

fn wakes(plan: &Plan) -> Vec<Wake> {
    let mut wakes: Vec<Wake> = Vec::new();
    let timed = plan.segments.iter().filter(|s| s.event_slots.is_empty());
    for wake in timed.flat_map(|segment| &segment.wake) {
        if !wakes.contains(wake) {
            wakes.push(*wake);
        }
    }
    wakes
}
