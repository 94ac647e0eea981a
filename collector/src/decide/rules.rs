//! The rules of one catalog generation, ready to run: its segments and a pool of loaded modules.
//! Replaced as a whole when the catalog changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tidegate_event::Timestamp;
use tidegate_event::id::fnv1a_64;
use tidegate_rules_wasm::{
    Compiled, Engine, ExpressionError, Plan, RuleError, Ruleset, SegmentSource, compile,
};

use super::evaluation::Evaluation;
use super::expressions::{Expressions, Reads};
use super::module::Moment;
use super::segments::Segments;
use super::traps::Traps;
use crate::catalog::Catalog;
use crate::profile::Profile;
use crate::profile::store::CatchUpNote;

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
    /// The segments, and their transitions.
    pub segments: Segments,
    /// Hash of the segments that time alone can turn; 0 where there is none.
    pub timed: u64,
    workers: Box<[Mutex<Expressions>]>,
    next: AtomicUsize,
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
        let reads = Arc::new(Reads::of(plan)?);
        let worker = || Ok(Mutex::new(Expressions::new(ruleset, &reads)?));
        Ok(Self {
            generation,
            segments: Segments::new(&plan.segments, catalog)?,
            timed: timed(plan, catalog),
            workers: (0..workers.max(1))
                .map(|_| worker())
                .collect::<Result<_, RuleError>>()?,
            next: AtomicUsize::new(0),
        })
    }

    /// Starts an evaluation. It waits where every evaluator is taken; `traps` counts what fails.
    pub fn evaluation<'r>(&'r self, traps: &'r Traps) -> Evaluation<'r> {
        Evaluation::begin(&self.segments, self.worker(), traps)
    }

    /// Whether an evaluation at `now` changes a membership or brings an earlier wake-up.
    #[must_use]
    pub fn would_change(&self, profile: &Profile, now: Timestamp, traps: &Traps) -> bool {
        if profile.alias_of.is_some() || profile.created_at == Profile::UNBORN {
            return false;
        }
        let decided = self.evaluation(traps).decide(Moment::of(profile, now));
        let own = profile.wake_up.get();
        !decided.transitions.is_empty()
            || decided
                .wake_up
                .is_some_and(|at| own.is_none_or(|own| at < own))
    }

    fn worker(&self) -> MutexGuard<'_, Expressions> {
        for worker in &self.workers {
            if let Some(free) = worker.try_lock() {
                return free;
            }
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.workers[next % self.workers.len()].lock()
    }
}

/// Hash of the names and expressions of the segments that time alone can turn. Kept in the store:
/// a changed hash only means that profiles are evaluated once more.
fn timed(plan: &Plan, catalog: &Catalog) -> u64 {
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
