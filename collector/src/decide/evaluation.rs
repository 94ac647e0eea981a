//! One evaluation: asks the modules and derives enter and exit from their verdicts (level
//! semantics). Changes no state.

use parking_lot::MutexGuard;
use smallvec::SmallVec;
use tidegate_event::record::TransitionRef;
use tidegate_event::{AggregateHit, Change, Enriched, Timestamp};
use tidegate_rules_wasm::Trap;

use super::expressions::Expressions;
use super::module::{Moment, RuleModule, Verdicts};
use super::segments::Segments;
use super::traps::Traps;
use crate::profile::Memberships;
use crate::profile::membership::MembershipState;

/// What was decided.
#[derive(Debug, Default)]
pub struct Decided<'r> {
    /// Membership changes, in catalog order.
    pub transitions: Vec<TransitionRef<'r>>,
    /// When time alone may change a verdict next.
    pub wake_up: Option<Timestamp>,
}

/// An evaluation that was begun. It holds an evaluator; when it is dropped, its traps are counted
/// and the evaluator is free again.
#[derive(Debug)]
pub struct Evaluation<'r> {
    segments: &'r Segments,
    /// The only module there is.
    module: MutexGuard<'r, Expressions>,
    traps: &'r Traps,
}

impl<'r> Evaluation<'r> {
    pub(super) fn begin(
        segments: &'r Segments,
        mut module: MutexGuard<'r, Expressions>,
        traps: &'r Traps,
    ) -> Self {
        module.begin();
        Self {
            segments,
            module,
            traps,
        }
    }

    /// Takes the event in and says which aggregates it adds to.
    ///
    /// # Errors
    /// [`Trap`]: the rules of one module failed; nothing is added.
    pub fn conditions(
        &mut self,
        event: &Enriched<'_>,
        source: &str,
    ) -> Result<&[AggregateHit], Trap> {
        self.module.conditions(event, source)
    }

    /// Evaluates every segment whose event fields are present, and schedules the next wake-up.
    #[must_use]
    pub fn decide(mut self, moment: Moment<'_>) -> Decided<'r> {
        let segments = self.segments;
        let transitions = match self.module.verdicts(moment) {
            Ok(verdicts) => transitions(segments, verdicts, moment.memberships),
            Err(_counted) => Vec::new(),
        };
        Decided {
            transitions,
            wake_up: self.module.wake_up(moment),
        }
    }
}

impl Drop for Evaluation<'_> {
    fn drop(&mut self) {
        let traps = self.module.take_traps();
        if traps > 0 {
            self.traps.add(self.module.name(), traps);
        }
    }
}

/// What the verdicts change, in catalog order. Segments and memberships are both ordered by key, so
/// that one pass over the two does instead of a search for each.
fn transitions<'r>(
    segments: &'r Segments,
    verdicts: Verdicts<'_>,
    memberships: &Memberships,
) -> Vec<TransitionRef<'r>> {
    let mut changed: SmallVec<[(usize, Change, u32); 8]> = SmallVec::new();
    let mut memberships = memberships.iter().peekable();
    for (segment, position) in segments.by_id() {
        // A segment that left the catalog has no verdict: its members stay as they are.
        while memberships.next_if(|(own, _)| *own < segment).is_some() {}
        let was = memberships
            .next_if(|(own, _)| *own == segment)
            .map_or_else(MembershipState::default, |(_, was)| was);
        if let Some(change) = verdicts.change(position, was.member) {
            changed.push((position, change, was.epoch));
        }
    }
    changed.sort_unstable_by_key(|(position, ..)| *position);
    changed
        .into_iter()
        .map(|(position, change, epoch)| {
            segments.transition(position, change, epoch.saturating_add(1))
        })
        .collect()
}
