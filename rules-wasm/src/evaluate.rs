//! Evaluates the rules on one record at a time, in two stages around the host's fold.

use std::sync::Arc;

use tidegate_event::{AggregateHit, HitValue};
use wasmtime::{
    Extern, Instance, Memory, MemoryType, Store, StoreLimits, Trap as WasmTrap, TypedFunc,
};

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
    /// Unknown: the membership stays as it is.
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

/// All modules of a ruleset and the memory they share.
struct Instances {
    store: Store<StoreLimits>,
    record: Memory,
    modules: Vec<Running>,
}

/// Evaluates rules; one per worker, reused for every event.
///
/// For each event: [`RecordBuffer::clear`], set the event's slots, [`Self::conditions`], fold,
/// set the other slots, [`Self::segments`].
pub struct Evaluator {
    ruleset: Arc<Ruleset>,
    record: RecordBuffer,
    instances: Instances,
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
        let plan = ruleset.plan();
        Ok(Self {
            record: RecordBuffer::new(plan.fields.len()),
            instances: Instances::start(ruleset)?,
            // An event may be both A and B of one aggregate.
            hits: Vec::with_capacity(2 * plan.aggregates.len()),
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
        let Instances {
            store,
            record,
            modules,
        } = &mut self.instances;
        self.record.copy_to(record.data_mut(&mut *store));
        let mut trapped = false;
        for (module, running) in self.ruleset.modules().iter().zip(modules) {
            if module.conditions == 0 {
                continue;
            }
            match call(store, &running.conditions, self.record.len(), module.fuel) {
                Ok(count) => {
                    let bytes = running.out.data(&*store);
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
        let Instances {
            store,
            record,
            modules,
        } = &mut self.instances;
        self.record.copy_to(record.data_mut(&mut *store));
        let mut trapped = false;
        for (module, running) in self.ruleset.modules().iter().zip(modules) {
            let verdicts = &mut self.verdicts[module.segments.clone()];
            match call(store, &running.segments, self.record.len(), module.fuel) {
                Ok(_) => {
                    let bytes = running.out.data(&*store);
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
            self.instances = Instances::start(&self.ruleset)?;
            self.record.copy_again();
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
    store: &mut Store<StoreLimits>,
    stage: &Stage,
    record_bytes: usize,
    fuel: u64,
) -> Result<i64, Option<WasmTrap>> {
    let len = i32::try_from(record_bytes).map_err(|_| None)?;
    store.set_fuel(fuel).map_err(|_| None)?;
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

impl Instances {
    fn start(ruleset: &Ruleset) -> Result<Self, RuleError> {
        let loaded = ruleset.modules();
        let mut store = ruleset.engine().store(loaded.len() + 1);
        let page = MemoryType::new(1, Some(1));
        let record = Memory::new(&mut store, page).map_err(RuleError::Instance)?;
        let modules = loaded
            .iter()
            .map(|module| Running::start(&mut store, record, module))
            .collect::<Result<_, _>>()
            .map_err(RuleError::Instance)?;
        Ok(Self {
            store,
            record,
            modules,
        })
    }
}

impl Running {
    fn start(
        store: &mut Store<StoreLimits>,
        record: Memory,
        module: &LoadedModule,
    ) -> Result<Self, wasmtime::Error> {
        // Instantiation itself may consume fuel, and none is given at first.
        store.set_fuel(module.fuel)?;
        let instance = Instance::new(&mut *store, &module.code, &[Extern::from(record)])?;
        let conditions = instance.get_typed_func(&mut *store, CONDITIONS)?;
        let segments = instance.get_typed_func(&mut *store, EVAL_ALL)?;
        let out = instance
            .get_memory(&mut *store, OUT_MEMORY)
            .ok_or_else(|| wasmtime::Error::msg("the module exports no memory"))?;
        Ok(Self {
            conditions,
            segments,
            out,
        })
    }
}
