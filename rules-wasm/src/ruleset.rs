//! A loaded set of rules: immutable, shared by every worker, replaced as a whole.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::Engine;
use crate::error::RuleError;
use crate::evaluate::Evaluator;
use crate::expression::Compiled;
use crate::plan::Plan;

/// Rules as machine code.
pub struct Ruleset {
    engine: Engine,
    plan: Plan,
    modules: Vec<LoadedModule>,
}

/// One module of it.
pub(crate) struct LoadedModule {
    pub(crate) code: wasmtime::Module,
    pub(crate) segments: Range<usize>,
    /// How many aggregates it has conditions of.
    pub(crate) conditions: usize,
    pub(crate) hits_at: usize,
    /// Fuel of one call.
    pub(crate) fuel: u64,
}

impl std::fmt::Debug for Ruleset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ruleset")
            .field("segments", &self.plan.segments.len())
            .field("modules", &self.modules.len())
            .finish_non_exhaustive()
    }
}

impl Ruleset {
    /// Compiles the WASM to machine code: about 1 ms per segment. Not for the hot path.
    ///
    /// # Errors
    /// [`RuleError::Module`] or [`RuleError::Memory`] where a module is refused.
    pub fn load(engine: &Engine, compiled: Compiled) -> Result<Arc<Self>, RuleError> {
        let limits = engine.limits();
        let mut modules = Vec::with_capacity(compiled.chunks.len());
        for chunk in compiled.chunks {
            if chunk.memory_bytes > limits.memory_bytes_max {
                let (needed, max) = (chunk.memory_bytes, limits.memory_bytes_max);
                return Err(RuleError::Memory { needed, max });
            }
            let code = wasmtime::Module::from_binary(engine.wasm(), &chunk.wasm)
                .map_err(RuleError::Module)?;
            let rules = u64::try_from(chunk.segments.len() + chunk.conditions).unwrap_or(u64::MAX);
            let fuel = limits
                .fuel_base
                .saturating_add(limits.fuel_per_rule.saturating_mul(rules));
            let (segments, conditions) = (chunk.segments, chunk.conditions);
            let hits_at = chunk.hits_at;
            modules.push(LoadedModule {
                code,
                segments,
                conditions,
                hits_at,
                fuel,
            });
        }
        Ok(Arc::new(Self {
            engine: engine.clone(),
            plan: compiled.plan,
            modules,
        }))
    }

    /// What the host has to do.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A worker's own evaluator; some 10 us per hundred segments.
    ///
    /// # Errors
    /// [`RuleError::Instance`] where memory is short.
    pub fn evaluator(self: &Arc<Self>) -> Result<Evaluator, RuleError> {
        Evaluator::new(self)
    }

    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn modules(&self) -> &[LoadedModule] {
        &self.modules
    }
}
