//! The rules of one catalog generation, ready to run: the loaded modules, what they read and a
//! pool of evaluators. Replaced as a whole when the catalog changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tidegate_event::id::fnv1a_64;
use tidegate_event::record::TransitionRef;
use tidegate_event::{AggregateSpec, Change, SegmentId};
use tidegate_rules_wasm::{
    Compiled, Engine, Evaluator, ExpressionError, Field, RuleError, Ruleset, SegmentSource,
    TrapCounts, Wake, compile,
};

use crate::catalog::Catalog;
use crate::profile::aggregate::{CellKey, Reading};
use crate::profile::store::CatchUpNote;

/// A bit for each slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotSet(Vec<u64>);

impl SlotSet {
    /// Room for `slots` bits, all clear.
    #[must_use]
    pub fn with_slots(slots: usize) -> Self {
        Self(vec![0; slots.div_ceil(64)])
    }

    /// Clears every bit.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// Sets one bit.
    pub fn insert(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    /// True where every bit of `other` is set here.
    #[must_use]
    pub fn contains_all(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(own, theirs)| own & theirs == *theirs)
    }
}

/// One segment as the decision needs it.
#[derive(Debug)]
pub struct RuleSegment {
    /// Its name.
    pub name: Arc<str>,
    /// Its key.
    pub id: SegmentId,
    /// Event fields that must be present; None where it reads none.
    pub needs: Option<SlotSet>,
    /// It becomes false at a session's end.
    pub reads_session: bool,
    /// An overdue wake-up older than this fires no nudge.
    pub wake_up_max_delay_ms: i64,
}

/// Disabled segments whose names are kept for merges.
const DISABLED_MAX: usize = 256;

/// A segment that left the catalog: profiles may still be members.
#[derive(Debug)]
pub struct DisabledSegment {
    /// Its key.
    pub id: SegmentId,
    /// Its name.
    pub name: Arc<str>,
}

/// Why a catalog's rules were refused; the old ones stay.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Expressions that do not compile.
    #[error("{} of the segments' expressions do not compile", .0.len())]
    Expressions(Vec<ExpressionError>),
    /// The engine refused the module.
    #[error(transparent)]
    Engine(#[from] RuleError),
    /// Two names, or two aggregates, with the same 32-bit key.
    #[error("{0:?} and {1:?} share a key: rename one of the two segments")]
    Collision(String, String),
}

/// The rules of one generation.
pub struct Rules {
    /// The catalog generation.
    pub generation: u32,
    /// Segments in catalog order; position `i` is verdict `i`.
    pub segments: Vec<RuleSegment>,
    /// Segments that left the catalog, at most 256.
    pub disabled: Vec<DisabledSegment>,
    /// Event fields to fill: slot and field.
    pub event_slots: Vec<(usize, Field)>,
    /// Fields of session, profile and clock to fill.
    pub state_slots: Vec<(usize, Field)>,
    /// Aggregates ordered by cell key.
    pub aggregates: Vec<(CellKey, AggregateSpec)>,
    /// For each of [`Rules::aggregates`]: the slot that shows it, and its index in the plan.
    pub aggregate_slots: Vec<(Option<usize>, usize)>,
    /// When time alone may change a verdict, of all segments that read no event field; each once.
    pub wakes: Vec<Wake>,
    /// Hash of the segments that time alone can turn; 0 where there is none.
    pub timed: u64,
    /// Positions, ordered by the segment's key.
    by_id: Vec<(SegmentId, usize)>,
    slots: usize,
    workers: Box<[Mutex<Worker>]>,
    next: AtomicUsize,
}

/// An evaluator with its scratch.
#[derive(Debug)]
pub struct Worker {
    /// The evaluator.
    pub evaluator: Evaluator,
    /// Event fields the record at hand has.
    pub present: SlotSet,
    /// Aggregates as read, by index in the plan.
    pub readings: Vec<Option<Reading>>,
    /// Traps of the evaluator that are counted already.
    traps_counted: u64,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules")
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Rules {
    /// Compiles and loads the segments of `catalog`, with `workers` evaluators.
    ///
    /// # Errors
    /// [`RulesError`]
    pub fn load(
        engine: &Engine,
        catalog: &Catalog,
        generation: u32,
        workers: usize,
    ) -> Result<Self, RulesError> {
        let sources: Vec<SegmentSource> = catalog
            .segments
            .iter()
            .map(|s| SegmentSource {
                name: s.name.clone(),
                when: s.when.clone(),
            })
            .collect();
        let compiled: Compiled = compile(&sources).map_err(RulesError::Expressions)?;
        let ruleset = Ruleset::load(engine, compiled)?;
        Self::of(&ruleset, catalog, generation, workers)
    }

    /// The rules of `catalog`, which `ruleset` was compiled from.
    ///
    /// # Errors
    /// [`RulesError`]
    pub(crate) fn of(
        ruleset: &Arc<Ruleset>,
        catalog: &Catalog,
        generation: u32,
        workers: usize,
    ) -> Result<Self, RulesError> {
        let plan = ruleset.plan();
        let slots = plan.fields.len();
        let aggregates = ordered(&plan.aggregates)?;
        let aggregate_slots = aggregates
            .iter()
            .map(|(_, index)| (plan.slot(&Field::Aggregate(*index)), *index))
            .collect();
        let fields = || plan.fields.iter().cloned().enumerate();
        let segments = segments(plan, catalog)?;
        let disabled = disabled(&segments, catalog);
        let ids = segments.iter().map(|segment| segment.id);
        let mut by_id: Vec<_> = ids.zip(0..).collect();
        by_id.sort_unstable();
        let rules = Self {
            generation,
            segments,
            disabled,
            by_id,
            wakes: wakes(plan),
            timed: timed(plan, catalog),
            event_slots: fields().filter(|(_, f)| f.is_event_field()).collect(),
            state_slots: fields()
                .filter(|(_, f)| !f.is_event_field() && !matches!(f, Field::Aggregate(_)))
                .collect(),
            aggregates: aggregates
                .into_iter()
                .map(|(key, index)| (key, plan.aggregates[index]))
                .collect(),
            aggregate_slots,
            slots,
            workers: (0..workers.max(1))
                .map(|_| Ok(Mutex::new(Worker::new(ruleset, slots)?)))
                .collect::<Result<_, RuleError>>()?,
            next: AtomicUsize::new(0),
        };
        Ok(rules)
    }

    /// An evaluator for one decision.
    pub fn worker(&self) -> MutexGuard<'_, Worker> {
        for worker in &self.workers {
            if let Some(free) = worker.try_lock() {
                return free;
            }
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.workers[next % self.workers.len()].lock()
    }

    /// The segment with this key.
    #[must_use]
    pub fn segment(&self, id: SegmentId) -> Option<&RuleSegment> {
        self.position(id).map(|position| &self.segments[position])
    }

    /// Position of the segment with this key.
    #[must_use]
    pub fn position(&self, id: SegmentId) -> Option<usize> {
        let found = self.by_id.binary_search_by_key(&id, |(id, _)| *id);
        found.ok().map(|found| self.by_id[found].1)
    }

    /// Every segment's key with its position, ordered by key.
    pub fn by_id(&self) -> impl Iterator<Item = (SegmentId, usize)> + '_ {
        self.by_id.iter().copied()
    }

    /// True where the event carries every event field that the segment at `position` reads.
    #[must_use]
    pub fn is_evaluated(&self, position: usize, present: &SlotSet) -> bool {
        let needs = self.segments[position].needs.as_ref();
        needs.is_none_or(|needs| present.contains_all(needs))
    }

    /// Upper bound of the bytes that one record's transitions can take, head and JSON together.
    #[must_use]
    pub fn transition_bytes_max(&self) -> usize {
        self.segments.iter().map(|s| bytes_max(&s.name)).sum()
    }

    /// Upper bound of what a merge's record takes beyond that: transitions of disabled segments.
    #[must_use]
    pub fn disabled_bytes_max(&self) -> usize {
        self.disabled.iter().map(|s| bytes_max(&s.name)).sum()
    }

    /// A transition of the segment at `position`.
    #[must_use]
    pub fn transition(&self, position: usize, change: Change, epoch: u32) -> TransitionRef<'_> {
        let segment = &self.segments[position];
        TransitionRef::new(segment.id, &segment.name, change, epoch)
    }

    /// Slots of one record.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.slots
    }
}

impl DisabledSegment {
    /// A transition of it.
    #[must_use]
    pub fn transition(&self, change: Change, epoch: u32) -> TransitionRef<'_> {
        TransitionRef::new(self.id, &self.name, change, epoch)
    }
}

/// Upper bound of the bytes of one transition of this segment, head and JSON together.
const fn bytes_max(segment: &str) -> usize {
    segment.len() * 2 + 160
}

impl Worker {
    fn new(ruleset: &Arc<Ruleset>, slots: usize) -> Result<Self, RuleError> {
        Ok(Self {
            evaluator: ruleset.evaluator()?,
            present: SlotSet::with_slots(slots),
            readings: vec![None; ruleset.plan().aggregates.len()],
            traps_counted: 0,
        })
    }

    /// Evaluations that trapped since this was last asked.
    pub fn take_traps(&mut self) -> u64 {
        let TrapCounts { out_of_fuel, other } = self.evaluator.traps();
        let all = out_of_fuel + other;
        all - std::mem::replace(&mut self.traps_counted, all)
    }
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

fn wakes(plan: &tidegate_rules_wasm::Plan) -> Vec<Wake> {
    let mut wakes: Vec<Wake> = Vec::new();
    let timed = plan.segments.iter().filter(|s| s.event_slots.is_empty());
    for wake in timed.flat_map(|segment| &segment.wake) {
        if !wakes.contains(wake) {
            wakes.push(*wake);
        }
    }
    wakes
}

/// Hash of the names and expressions of the segments that time alone can turn. Kept in the store:
/// a changed hash only means that profiles are evaluated once more.
fn timed(plan: &tidegate_rules_wasm::Plan, catalog: &Catalog) -> u64 {
    let mut timed: Vec<(&str, &str)> = plan
        .segments
        .iter()
        .zip(&catalog.segments)
        .filter(|(planned, _)| planned.event_slots.is_empty() && !planned.wake.is_empty())
        .map(|(_, declared)| (&*declared.name, &*declared.when))
        .collect();
    if timed.is_empty() {
        return CatchUpNote::NO_SEGMENTS;
    }
    timed.sort_unstable();
    let text: Vec<u8> = timed
        .iter()
        .flat_map(|(name, when)| [name.as_bytes(), b"\0", when.as_bytes(), b"\0"].concat())
        .collect();
    fnv1a_64(&text).max(1)
}

fn disabled(segments: &[RuleSegment], catalog: &Catalog) -> Vec<DisabledSegment> {
    let names = catalog.disabled_segments.iter();
    names
        .map(|name| DisabledSegment {
            id: SegmentId::of(name),
            name: Arc::from(&**name),
        })
        // A key that is in force again under another name is that segment's.
        .filter(|disabled| segments.iter().all(|segment| segment.id != disabled.id))
        .take(DISABLED_MAX)
        .collect()
}

fn segments(
    plan: &tidegate_rules_wasm::Plan,
    catalog: &Catalog,
) -> Result<Vec<RuleSegment>, RulesError> {
    let mut segments: Vec<RuleSegment> = Vec::with_capacity(plan.segments.len());
    for (planned, declared) in plan.segments.iter().zip(&catalog.segments) {
        if let Some(same) = segments.iter().find(|s| s.id == planned.id) {
            return Err(RulesError::Collision(
                same.name.to_string(),
                planned.name.to_string(),
            ));
        }
        let mut needs = SlotSet::with_slots(plan.fields.len());
        planned
            .event_slots
            .iter()
            .for_each(|slot| needs.insert(*slot));
        segments.push(RuleSegment {
            name: Arc::from(&*planned.name),
            id: planned.id,
            needs: (!planned.event_slots.is_empty()).then_some(needs),
            reads_session: planned.reads_session,
            wake_up_max_delay_ms: i64::try_from(declared.wake_up_max_delay_ms).unwrap_or(i64::MAX),
        });
    }
    Ok(segments)
}
