//! The one place that knows wasmtime's settings.

use wasmtime::{Config, Store, StoreLimits, StoreLimitsBuilder};

use crate::error::RuleError;
use crate::limits::Limits;

/// Compiles and runs WASM within the limits; one per process, cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: wasmtime::Engine,
    limits: Limits,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the engine.
    ///
    /// # Errors
    /// [`RuleError::Engine`] where this machine cannot run it.
    pub fn new(limits: Limits) -> Result<Self, RuleError> {
        let mut config = Config::new();
        // Instances are reused, so allocation on demand costs nothing that counts; the pooling
        // allocator is for uploaded modules. Fuel alone bounds time: modules call no host
        // function, so an epoch would guard nothing more.
        config
            .consume_fuel(true)
            .max_wasm_stack(limits.stack_bytes_max)
            .wasm_multi_memory(true)
            .wasm_memory64(false)
            .wasm_relaxed_simd(false)
            .wasm_backtrace_max_frames(None);
        let inner = wasmtime::Engine::new(&config).map_err(RuleError::Engine)?;
        Ok(Self { inner, limits })
    }

    /// The limits it was started with.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) const fn wasm(&self) -> &wasmtime::Engine {
        &self.inner
    }

    pub(crate) fn store(&self, memories: usize) -> Store<StoreLimits> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(self.limits.memory_bytes_max)
            .memories(memories)
            .instances(memories)
            .tables(0)
            .build();
        let mut store = Store::new(&self.inner, limits);
        store.limiter(|limits| limits);
        store
    }
}
