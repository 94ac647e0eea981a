//! Evaluates the rules on one record at a time, in two stages around the host's fold.

use std::sync::Arc;

use tidegate_event::{AggregateHit, HitValue};
use wasmtime::{Extern, Instance, Memory, Trap as WasmTrap, TypedFunc};

use crate::abi::{
    CONDITIONS, EVAL_ALL, HIT_A, HIT_B, HIT_BYTES, HIT_MATCHED, HIT_NUMBER, HIT_VALUE, OUT_MEMORY,
};
use crate::error::{RuleError, Trap};
use crate::plan::Plan;
use crate::record::RecordBuffer;
use crate::ruleset::{LoadedModule, Ruleset};

/// What a rule says about one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Not a member.
    False,
    /// A member.
    True,
    /// Cannot be told: the membership stays as it is.
    Unknown,
}

impl Verdict {
    const fn of(byte: u8) -> Self {
        match byte {
            0 => Self::False,
            1 => Self::True,
            _ => Self::Unknown,
        }
    }
}

/// Evaluations that trapped, since the evaluator was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrapCounts {
    /// Fuel ran out.
    pub out_of_fuel: u64,
    /// Anything else.
    pub other: u64,
}

type Stage = TypedFunc<(i32, i32), i64>;

/// One module, instantiated.
struct Running {
    conditions: Stage,
    segments: Stage,
    out: Memory,
}

/// Evaluates rules; one per worker, reused for every event.
///
/// For each event: [`RecordBuffer::clear`], set the event's slots, [`Self::conditions`], fold,
/// set the other slots, [`Self::segments`].
pub struct Evaluator {
    ruleset: Arc<Ruleset>,
    record: RecordBuffer,
    running: Vec<Running>,
    hits: Vec<AggregateHit>,
    verdicts: Vec<Verdict>,
    traps: TrapCounts,
}

impl std::fmt::Debug for Evaluator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator")
            .field("traps", &self.traps)
            .finish_non_exhaustive()
    }
}

impl Evaluator {
    pub(crate) fn new(ruleset: &Arc<Ruleset>) -> Result<Self, RuleError> {
        let (record, running) = start(ruleset)?;
        let plan = ruleset.plan();
        Ok(Self {
            record,
            running,
            hits: Vec::with_capacity(plan.aggregates.len()),
            verdicts: vec![Verdict::Unknown; plan.segments.len()],
            traps: TrapCounts::default(),
            ruleset: Arc::clone(ruleset),
        })
    }

    /// What the host has to do.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.ruleset.plan()
    }

    /// The record to fill.
    pub const fn record(&mut self) -> &mut RecordBuffer {
        &mut self.record
    }

    /// Evaluations that trapped so far.
    #[must_use]
    pub const fn traps(&self) -> TrapCounts {
        self.traps
    }

    /// Stage 1: what the event adds to the aggregates. Of one `then` or `absent` the B comes
    /// before the A, since an event cannot follow itself. A module that traps adds nothing.
    ///
    /// # Errors
    /// [`Trap`] where the rules could not be restarted after one.
    pub fn conditions(&mut self) -> Result<&[AggregateHit], Trap> {
        self.hits.clear();
        let mut trapped = false;
        for (module, running) in self.ruleset.modules().iter().zip(&self.running) {
            if module.conditions == 0 {
                continue;
            }
            match call(&mut self.record, &running.conditions, module) {
                Ok(count) => {
                    let bytes = running.out.data(self.record.store());
                    let plan = self.ruleset.plan();
                    self.hits.extend(hits(bytes, module.hits_at, count, plan));
                }
                Err(trap) => {
                    self.traps.add(trap);
                    trapped = true;
                }
            }
        }
        self.restart_if(trapped)?;
        Ok(&self.hits)
    }

    /// Stage 2: one verdict per segment of the plan. Those of a module that traps are unknown.
    ///
    /// # Errors
    /// [`Trap`] where the rules could not be restarted after one.
    pub fn segments(&mut self) -> Result<&[Verdict], Trap> {
        let mut trapped = false;
        for (module, running) in self.ruleset.modules().iter().zip(&self.running) {
            let verdicts = &mut self.verdicts[module.segments.clone()];
            match call(&mut self.record, &running.segments, module) {
                Ok(_) => {
                    let bytes = running.out.data(self.record.store());
                    for (verdict, byte) in verdicts.iter_mut().zip(bytes) {
                        *verdict = Verdict::of(*byte);
                    }
                }
                Err(trap) => {
                    verdicts.fill(Verdict::Unknown);
                    self.traps.add(trap);
                    trapped = true;
                }
            }
        }
        self.restart_if(trapped)?;
        Ok(&self.verdicts)
    }

    /// A module that trapped may be half-way through a write: all start afresh, on the same record.
    fn restart_if(&mut self, trapped: bool) -> Result<(), RuleError> {
        if trapped {
            let (mut record, running) = start(&self.ruleset)?;
            record.copy_from(&self.record);
            (self.record, self.running) = (record, running);
        }
        Ok(())
    }
}

impl TrapCounts {
    const fn add(&mut self, trap: Option<WasmTrap>) {
        match trap {
            Some(WasmTrap::OutOfFuel) => self.out_of_fuel += 1,
            _ => self.other += 1,
        }
    }
}

fn call(
    record: &mut RecordBuffer,
    stage: &Stage,
    module: &LoadedModule,
) -> Result<i64, Option<WasmTrap>> {
    let len = i32::try_from(record.len()).map_err(|_| None)?;
    let store = record.store_mut();
    store.set_fuel(module.fuel).map_err(|_| None)?;
    stage
        .call(store, (0, len))
        .map_err(|error| error.downcast_ref::<WasmTrap>().copied())
}

fn hits<'a>(
    out: &'a [u8],
    at: usize,
    count: i64,
    plan: &'a Plan,
) -> impl Iterator<Item = AggregateHit> + 'a {
    let count = usize::try_from(count).unwrap_or(0);
    let (hits, _) = out.get(at..).unwrap_or_default().as_chunks::<HIT_BYTES>();
    hits.iter().take(count).filter_map(|hit| {
        let index = u32::from_le_bytes(*hit.first_chunk()?);
        let what = u32::from_le_bytes(*hit[4..].first_chunk()?);
        let value = u64::from_le_bytes(*hit[8..].first_chunk()?);
        let spec = *plan.aggregates.get(usize::try_from(index).ok()?)?;
        let value = match what {
            HIT_MATCHED => HitValue::Matched,
            HIT_NUMBER => HitValue::Number(f64::from_bits(value)),
            HIT_VALUE => HitValue::Value(value),
            HIT_A => HitValue::A,
            HIT_B => HitValue::B,
            _ => return None,
        };
        Some(AggregateHit { spec, value })
    })
}

fn start(ruleset: &Ruleset) -> Result<(RecordBuffer, Vec<Running>), RuleError> {
    let modules = ruleset.modules();
    let store = ruleset.engine().store(modules.len() + 1);
    let mut record = RecordBuffer::new(store, ruleset.plan().fields.len())?;
    let memory = Extern::from(record.memory());
    let running = modules
        .iter()
        .map(|module| instantiate(&mut record, &memory, module))
        .collect::<Result<_, _>>()
        .map_err(RuleError::Instance)?;
    Ok((record, running))
}

fn instantiate(
    record: &mut RecordBuffer,
    memory: &Extern,
    module: &LoadedModule,
) -> Result<Running, wasmtime::Error> {
    let store = record.store_mut();
    // Instantiation itself may consume fuel, and none is given at first.
    store.set_fuel(module.fuel)?;
    let instance = Instance::new(&mut *store, &module.code, &[memory.clone()])?;
    let conditions = instance.get_typed_func(&mut *store, CONDITIONS)?;
    let segments = instance.get_typed_func(&mut *store, EVAL_ALL)?;
    let out = instance
        .get_memory(&mut *store, OUT_MEMORY)
        .ok_or_else(|| wasmtime::Error::msg("the module exports no memory"))?;
    Ok(Running {
        conditions,
        segments,
        out,
    })
}
