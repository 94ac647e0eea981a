//! The rules in force, and what compiles the next ones.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tidegate_rules_wasm::{Engine, Limits};
use tokio::sync::Notify;

use super::OpenError;
use crate::catalog::Catalog;
use crate::decide::{Rules, RulesError};

/// See the module.
pub(super) struct Decider {
    rules: ArcSwap<Rules>,
    engine: Engine,
    /// Of each generation: one for each worker thread.
    evaluators: usize,
    switched: Notify,
}

/// Rules compiled before the state is there.
#[derive(Debug)]
pub struct Compiled {
    engine: Engine,
    rules: Rules,
}

impl Compiled {
    /// Compiles the rules of `catalog` for so many evaluators.
    ///
    /// # Errors
    /// [`OpenError::Rules`], [`OpenError::Engine`]
    pub fn new(catalog: &Catalog, generation: u32, evaluators: usize) -> Result<Self, OpenError> {
        let engine = Engine::new(Limits::default())?;
        let rules = Rules::load(&engine, catalog, generation, evaluators)?;
        Ok(Self::of(engine, rules))
    }

    /// Of rules that were loaded with this engine.
    pub(crate) const fn of(engine: Engine, rules: Rules) -> Self {
        Self { engine, rules }
    }

    /// Generation of the catalog.
    pub(super) const fn generation(&self) -> u32 {
        self.rules.generation
    }
}

impl Decider {
    pub(super) fn new(compiled: Compiled, evaluators: usize) -> Self {
        let Compiled { engine, rules } = compiled;
        Self {
            rules: ArcSwap::from_pointee(rules),
            engine,
            evaluators,
            switched: Notify::new(),
        }
    }

    /// Those in force.
    pub(super) fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// Compiles the rules of `catalog`; nothing changes yet.
    ///
    /// # Errors
    /// [`RulesError`]
    pub(super) fn prepare(&self, catalog: &Catalog, generation: u32) -> Result<Rules, RulesError> {
        Rules::load(&self.engine, catalog, generation, self.evaluators)
    }

    /// Replaces those in force.
    pub(super) fn put_in_force(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        self.switched.notify_one();
    }

    /// Resolves when others came into force since the last call.
    pub(super) async fn switched(&self) {
        self.switched.notified().await;
    }
}
