//! One cursor's machine under the simulation's interpreter: no thread, virtual time, and a watch
//! over steps that neither move anything nor wait.

use crate::cursors::follow::{Follow, Next};

/// Steps without progress or a wait that count as a spin.
const SPIN_STEPS: u32 = 30;
/// Steps and milliseconds in which a machine has to end, whatever its state.
const END_STEPS: u32 = 400;
const END_MS: u64 = 5_000;

/// See the module.
pub(super) struct Follower {
    name: &'static str,
    machine: Box<dyn Follow>,
    waits: Next,
    /// When a pause ends, on the monotonic clock.
    pause_over_ms: u64,
    /// Where it stood, and how many steps ago it came there.
    stands: (u64, u64),
    still_steps: u32,
}

/// What a machine can see of the world around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) now_ms: u64,
    pub(super) durable: u64,
    pub(super) has_capacity: bool,
}

impl Follower {
    pub(super) fn new(name: &'static str, machine: Box<dyn Follow>) -> Self {
        Self {
            name,
            machine,
            waits: Next::Again,
            pause_over_ms: 0,
            stands: (0, 0),
            still_steps: 0,
        }
    }

    /// Whether what it waits for has come.
    pub(super) fn is_ready(&self, around: Around) -> bool {
        match self.waits {
            Next::Again => true,
            Next::WaitPast(offset) => around.durable > offset,
            Next::WaitCapacity => around.has_capacity,
            Next::Pause(_) => around.now_ms >= self.pause_over_ms,
            Next::Done => false,
        }
    }

    /// Whether it may be stepped although nothing came: waits have an end of their own.
    pub(super) fn may_look(&self) -> bool {
        matches!(self.waits, Next::WaitPast(_) | Next::WaitCapacity)
    }

    /// One step. `stands` is what must change while it does not wait.
    ///
    /// # Errors
    /// It spins.
    pub(super) fn step(
        &mut self,
        around: Around,
        stands: impl Fn() -> (u64, u64),
    ) -> Result<(), String> {
        let waited = !self.is_ready(around);
        self.waits = self.machine.step();
        if let Next::Pause(ms) = self.waits {
            self.pause_over_ms = around.now_ms + ms;
        }
        let now = stands();
        let waits = !matches!(self.waits, Next::Again | Next::WaitCapacity);
        if waited || waits || now != self.stands {
            self.stands = now;
            self.still_steps = 0;
            return Ok(());
        }
        self.still_steps += 1;
        if self.still_steps > SPIN_STEPS {
            return Err(format!(
                "{} spins: {SPIN_STEPS} steps without progress or a wait",
                self.name
            ));
        }
        Ok(())
    }

    /// Ends it, as a stop does.
    ///
    /// # Errors
    /// It does not end.
    pub(super) fn end(mut self) -> Result<(), String> {
        self.machine.end();
        let mut waited_ms = 0;
        for _ in 0..END_STEPS {
            match self.machine.step() {
                Next::Done => return Ok(()),
                Next::Pause(ms) => waited_ms += ms,
                Next::Again | Next::WaitPast(_) | Next::WaitCapacity => {}
            }
            if waited_ms > END_MS {
                break;
            }
        }
        Err(format!("{} does not end", self.name))
    }
}
