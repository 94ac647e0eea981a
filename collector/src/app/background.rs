//! Starts what runs beside the requests: a task for each machine of [`crate::background`], which it
//! only interprets, and the look at certificates and their renewal.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use fjall::Database;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};

use super::charges;
use super::reopen::StateStores;
use crate::background::{CatchUp, Machine, Next, Timers, Upkeep};
use crate::bad_rows::BadRows;
use crate::core::Core;
use crate::edge::{self, Acme, Certificates};
use crate::liveness::{Liveness, Pulse, spawn};
use crate::settings::Settings;

/// The runtime shows that it runs tasks and timers this often.
const RUNTIME_TICK: Duration = Duration::from_millis(500);
/// How long a task that ticks may take from one tick to the next.
const TICK_BOUND: Duration = Duration::from_secs(30);
/// How long a checkpoint, a look at the due index or the opening of a database may take.
const DISK_BOUND: Duration = Duration::from_secs(120);
/// Of a part that is only held: its end is seen, not how long it works.
pub(super) const HELD: Duration = Duration::from_secs(60);

pub(super) fn spawn(
    stores: StateStores,
    bad_rows: &BadRows,
    (certificates, acme): (Option<Arc<Certificates>>, Option<Arc<Acme>>),
    settings: &Settings,
    timer_rate: &Arc<AtomicU32>,
    stopping: &watch::Receiver<bool>,
    liveness: &Liveness,
) -> Vec<JoinHandle<()>> {
    let core = stores.core.clone();
    let runs = |name: &'static str, bound, machine: Box<dyn Machine + Send>| {
        let (core, stopping) = (core.clone(), stopping.clone());
        let event = move |next: Next| {
            let core = core.clone();
            async move { next.event(&core).await }
        };
        spawn::task(liveness.register(name, bound), |pulse| {
            drive(machine, event, pulse, stopping)
        })
    };
    let rate = || Arc::clone(timer_rate);
    let upkeep = UpkeepOfState {
        upkeep: Upkeep::default(),
        stores,
        bad_rows: bad_rows.clone(),
    };
    let mut tasks = vec![
        spawn::task(liveness.register("runtime", TICK_BOUND), |pulse| {
            runtime(pulse, stopping.clone())
        }),
        runs(
            "timers",
            DISK_BOUND,
            Box::new(Timers::new(core.clone(), rate())),
        ),
        runs(
            "catch-up",
            DISK_BOUND,
            Box::new(CatchUp::new(core.clone(), rate())),
        ),
        runs("checkpoint", DISK_BOUND, Box::new(upkeep)),
    ];
    if let Some(certificates) = certificates {
        let interval_ms = settings.edge.tls.reload_interval_ms;
        let mut stopping = stopping.clone();
        let pulse = liveness.register("certificate-watch", HELD);
        tasks.push(spawn::holding(pulse, async move {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => {}
                () = edge::watch(certificates, interval_ms) => {}
            }
        }));
    }
    if let Some(acme) = acme {
        let mut stopping = stopping.clone();
        let pulse = liveness.register("acme", HELD);
        tasks.push(spawn::holding(pulse, async move {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => {}
                () = acme.run() => {}
            }
        }));
    }
    tasks
}

/// A runtime whose workers all block runs no task: this one then falls silent.
async fn runtime(pulse: Pulse, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(RUNTIME_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pulse.beat();
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
    }
}

/// Steps `machine` until the gateway stops. `event` resolves when what it waits for has come.
async fn drive<E: Future<Output = ()>>(
    mut machine: Box<dyn Machine + Send>,
    event: impl Fn(Next) -> E,
    pulse: Pulse,
    mut stopping: watch::Receiver<bool>,
) {
    while !*stopping.borrow() {
        pulse.beat();
        let begun = sleep(Duration::ZERO).deadline();
        let step = move || {
            let next = machine.step();
            (machine, next)
        };
        // None where the runtime ends, and this with it.
        let Some((stepped, next)) = spawn::blocking(step).await else {
            return;
        };
        machine = stepped;
        if next == Next::Again {
            continue;
        }
        pulse.idle();
        let over = begun + Duration::from_millis(next.bound_ms());
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = event(next) => {}
            () = sleep_until(over) => {}
        }
    }
}

/// Checkpoint, reopening and the accounts of the disk.
struct UpkeepOfState {
    upkeep: Upkeep<Database>,
    stores: StateStores,
    bad_rows: BadRows,
}

impl Machine for UpkeepOfState {
    fn step(&mut self) -> Next {
        let core = self.stores.core.clone();
        let (bad_rows, data_dir) = (&self.bad_rows, self.stores.data_dir.clone());
        let charge = |core: &Core| charges::bring_up_to_date(core, bad_rows, &data_dir);
        self.upkeep.step(&core, &mut self.stores, charge)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_event::Pulses;

    use super::*;

    /// Always waits in the same way.
    struct Waits(Next, std::sync::mpsc::Sender<()>);

    impl Machine for Waits {
        fn step(&mut self) -> Next {
            let _stopped = self.1.send(());
            self.0
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_stop_ends_every_wait() {
        for wait in [
            Next::Again,
            Next::Pause(3_600_000),
            Next::PauseUnlessPressed(3_600_000),
            Next::JournalSpace(3_600_000),
            Next::Catalog,
        ] {
            let (stepped, steps) = std::sync::mpsc::channel();
            let (stop, stopping) = watch::channel(false);
            let pulse = Pulses::default().register("waits", 1);
            let never = |_| std::future::pending();
            let machine = Box::new(Waits(wait, stepped));
            let driven = tokio::spawn(drive(machine, never, pulse, stopping));
            steps.recv().unwrap();
            stop.send_replace(true);
            let ended = tokio::time::timeout(Duration::from_secs(20), driven).await;
            assert!(ended.is_ok(), "{wait:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_machine_waits_for_ends_its_wait() {
        let (stepped, steps) = std::sync::mpsc::channel();
        let (stop, stopping) = watch::channel(false);
        let pulse = Pulses::default().register("waits", 1);
        let machine = Box::new(Waits(Next::Catalog, stepped));
        let driven = tokio::spawn(drive(machine, |_| std::future::ready(()), pulse, stopping));
        for _ in 0..3 {
            steps.recv().unwrap();
        }
        stop.send_replace(true);
        driven.await.unwrap();
    }
}
