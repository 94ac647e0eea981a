//! What a module of rules has to answer. The catalog's expressions are one module; a module that a
//! customer uploads implements the same beside them.

use tidegate_event::{AggregateHit, Change, Enriched, Timestamp};
use tidegate_rules_wasm::{Trap, Verdict};

use super::expressions::SlotSet;
use crate::profile::{Memberships, Profile};
use crate::session::Session;

/// One module with the state of one evaluation; a thread has it to itself while that lasts.
///
/// The order of calls is [`RuleModule::begin`], [`RuleModule::conditions`] where there is an event,
/// the fold of the event, [`RuleModule::verdicts`], [`RuleModule::wake_up`].
pub trait RuleModule {
    /// The label of its figures.
    fn name(&self) -> ModuleName;

    /// Starts an evaluation. If `conditions` is not called after it, there is no event.
    fn begin(&mut self);

    /// Which aggregates the event adds to.
    ///
    /// # Errors
    /// [`Trap`]: the module failed; nothing is added.
    fn conditions(&mut self, event: &Enriched<'_>, source: &str) -> Result<&[AggregateHit], Trap>;

    /// What each of its segments says about the profile at `moment`.
    ///
    /// # Errors
    /// [`Trap`]: the module failed; all memberships stay.
    fn verdicts(&mut self, moment: Moment<'_>) -> Result<Verdicts<'_>, Trap>;

    /// The earliest time after `moment` at which a verdict may change without an event. Asked after
    /// the verdicts of the same moment.
    fn wake_up(&self, moment: Moment<'_>) -> Option<Timestamp>;

    /// Evaluations that trapped since this was last asked.
    fn take_traps(&mut self) -> u64;
}

/// Names of modules: a closed list, so that a metric's label stays bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleName {
    /// The expressions of the catalog.
    Expressions,
}

impl ModuleName {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Expressions];

    /// As the label says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expressions => "expressions",
        }
    }
}

/// What a decision reads beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The state, the event already folded in.
    pub profile: &'a Profile,
    /// The segments it is in before: its own, unless a merge is decided.
    pub memberships: &'a Memberships,
    /// The session that `session.*` names; None: those fields are absent.
    pub session: Option<&'a Session>,
    /// `decided_at`.
    pub now: Timestamp,
}

impl<'a> Moment<'a> {
    /// Without an event: the session is the profile's current one.
    #[must_use]
    pub fn of(profile: &'a Profile, now: Timestamp) -> Self {
        Self {
            profile,
            memberships: &profile.memberships,
            session: profile.current_session(now),
            now,
        }
    }
}

/// The verdicts of one evaluation, by the segment's position in the catalog.
#[derive(Clone, Copy, Debug)]
pub struct Verdicts<'m> {
    pub(super) verdicts: &'m [Verdict],
    /// Event fields that each segment needs; None where it reads none.
    pub(super) needs: &'m [Option<SlotSet>],
    /// Event fields that are there.
    pub(super) present: &'m SlotSet,
}

impl Verdicts<'_> {
    /// How the membership changes in the segment at `position`. None where it stays: also where the
    /// verdict is unknown, or the event lacks a field that the segment reads.
    #[must_use]
    pub fn change(&self, position: usize, is_member: bool) -> Option<Change> {
        let change = match (self.verdicts[position], is_member) {
            (Verdict::True, false) => Change::Enter,
            (Verdict::False, true) => Change::Exit,
            (Verdict::True | Verdict::False | Verdict::Unknown, _) => return None,
        };
        let needs = self.needs[position].as_ref();
        needs
            .is_none_or(|needs| self.present.contains_all(needs))
            .then_some(change)
    }
}
