//! Every bound of this crate, by name.

/// What expressions may be, and what their evaluation may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Segments of one ruleset.
    pub segments_max: usize,
    /// Bytes of one expression's text.
    pub expression_bytes_max: usize,
    /// Nesting of brackets, calls and operators in one expression.
    pub expression_depth_max: u16,
    /// Operators, fields and literals of one expression.
    pub expression_nodes_max: usize,
    /// The same, over all segments of one ruleset: bounds what Cranelift has to compile.
    pub ruleset_nodes_max: usize,
    /// Fields and aggregates that one ruleset may read: each is a slot of the record.
    pub slots_max: usize,
    /// Segments of one WASM module.
    pub chunk_segments_max: usize,
    /// Nodes of one WASM module; a single larger segment still gets a module of its own.
    pub chunk_nodes_max: usize,
    /// Fuel that each call into a module gets, whatever it holds: enough to read a full record of
    /// long strings. 100,000 are about 50 us.
    pub fuel_base: u64,
    /// Fuel that each segment and aggregate of the module adds to it.
    pub fuel_per_rule: u64,
    /// Bytes of one WASM memory.
    pub memory_bytes_max: usize,
    /// Bytes of WASM stack.
    pub stack_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segments_max: 10_000,
            expression_bytes_max: 8 * 1024,
            expression_depth_max: 32,
            expression_nodes_max: 2_000,
            ruleset_nodes_max: 200_000,
            slots_max: 2_000,
            chunk_segments_max: 100,
            chunk_nodes_max: 5_000,
            fuel_base: 250_000,
            fuel_per_rule: 10_000,
            memory_bytes_max: 1024 * 1024,
            stack_bytes_max: 256 * 1024,
        }
    }
}
