//! The module of the catalog's expressions: fills the record that they read, and asks them.

mod slots;
mod reads;
mod event_fields;
mod state_fields;
mod json;
mod wake;

use std::sync::Arc;

use tidegate_event::{AggregateHit, Enriched, Timestamp};
use tidegate_rules_wasm::{Evaluator, RuleError, Ruleset, Trap, TrapCounts};

pub(super) use reads::Reads;
pub(super) use slots::SlotSet;

use super::module::{ModuleName, Moment, RuleModule, Verdicts};
use crate::profile::aggregate::Reading;

/// The expressions with the scratch of one evaluation.
#[derive(Debug)]
pub(super) struct Expressions {
    evaluator: Evaluator,
    reads: Arc<Reads>,
    /// Event fields that the record at hand has.
    present: SlotSet,
    /// Aggregates as read, by index in the plan.
    readings: Vec<Option<Reading>>,
    /// Traps of the evaluator that are counted already.
    traps_counted: u64,
}

impl Expressions {
    /// `reads`: what the ruleset's plan reads.
    pub(super) fn new(ruleset: &Arc<Ruleset>, reads: &Arc<Reads>) -> Result<Self, RuleError> {
        let plan = ruleset.plan();
        Ok(Self {
            evaluator: ruleset.evaluator()?,
            reads: Arc::clone(reads),
            present: SlotSet::with_slots(plan.fields.len()),
            readings: vec![None; plan.aggregates.len()],
            traps_counted: 0,
        })
    }
}

impl RuleModule for Expressions {
    fn name(&self) -> ModuleName {
        ModuleName::Expressions
    }

    fn begin(&mut self) {
        self.present.clear();
        self.evaluator.record().clear();
    }

    fn conditions(&mut self, event: &Enriched<'_>, source: &str) -> Result<&[AggregateHit], Trap> {
        let record = self.evaluator.record();
        for (slot, field) in &self.reads.event_slots {
            if event_fields::fill(record, *slot, field, event, source) {
                self.present.insert(*slot);
            }
        }
        self.evaluator.conditions()
    }

    fn verdicts(&mut self, moment: Moment<'_>) -> Result<Verdicts<'_>, Trap> {
        let record = self.evaluator.record();
        state_fields::fill(&self.reads, record, &mut self.readings, moment);
        Ok(Verdicts {
            verdicts: self.evaluator.segments()?,
            needs: &self.reads.needs,
            present: &self.present,
        })
    }

    fn wake_up(&self, moment: Moment<'_>) -> Option<Timestamp> {
        wake::wake_up(&self.reads, &self.readings, moment)
    }

    fn take_traps(&mut self) -> u64 {
        let TrapCounts { out_of_fuel, other } = self.evaluator.traps();
        let all = out_of_fuel + other;
        all - std::mem::replace(&mut self.traps_counted, all)
    }
}
