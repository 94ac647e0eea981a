//! What runs beside the requests: timers, the checkpoint, the disk accounts, the look at
//! certificates and their renewal.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::reopen::Reopening;
use crate::bad_rows::BadRows;
use crate::core::Core;
use crate::core::checkpoint::Extent;
use crate::edge::{self, Acme, Certificates};
use crate::liveness::{Liveness, Pulse, spawn};
use crate::settings::Settings;

/// Timers are looked at this often.
const TIMER_TICK: Duration = Duration::from_millis(50);
/// After a catalog change so many profiles are looked at, this often.
const CATCH_UP_TICK: Duration = Duration::from_millis(100);
const CATCH_UP_PAGE: usize = 1_000;
/// The checkpoint looks for work this often.
const CHECKPOINT_TICK: Duration = Duration::from_secs(1);

/// The runtime shows that it runs tasks and timers this often.
const RUNTIME_TICK: Duration = Duration::from_millis(500);
/// How long a task that ticks may take from one tick to the next.
const TICK_BOUND: Duration = Duration::from_secs(30);
/// How long a checkpoint, a look at the due index or the opening of a database may take.
const DISK_BOUND: Duration = Duration::from_secs(120);
/// Of a part that is only held: its end is seen, not how long it works.
pub(super) const HELD: Duration = Duration::from_secs(60);

/// Unit of `st_blocks` (stat(2)).
const BLOCK_BYTES: u64 = 512;

pub(super) fn spawn(
    reopening: Reopening,
    bad_rows: &BadRows,
    (certificates, acme): (Option<Arc<Certificates>>, Option<Arc<Acme>>),
    settings: &Settings,
    timer_rate: &Arc<AtomicU32>,
    stopping: &watch::Receiver<bool>,
    liveness: &Liveness,
) -> Vec<JoinHandle<()>> {
    let rate = Arc::clone(timer_rate);
    let core = &reopening.core.clone();
    let mut tasks = vec![
        spawn::task(liveness.register("runtime", TICK_BOUND), |pulse| {
            runtime(pulse, stopping.clone())
        }),
        spawn::task(liveness.register("timers", DISK_BOUND), |pulse| {
            timers(core.clone(), rate, pulse, stopping.clone())
        }),
        spawn::task(liveness.register("catch-up", DISK_BOUND), |pulse| {
            let rate = Arc::clone(timer_rate);
            catch_up(core.clone(), rate, pulse, stopping.clone())
        }),
        spawn::task(liveness.register("checkpoint", DISK_BOUND), |pulse| {
            checkpoint(reopening, bad_rows.clone(), pulse, stopping.clone())
        }),
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

async fn timers(
    core: Core,
    rate: Arc<AtomicU32>,
    pulse: Pulse,
    mut stopping: watch::Receiver<bool>,
) {
    let mut ticks = interval(TIMER_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pulse.beat();
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        look_ahead(&core).await;
        // Twenty ticks a second share the rate.
        let per_second = usize::try_from(rate.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let per_tick = per_second.div_ceil(20).max(1);
        let fired = tokio::select! {
            // While the journal has no room a timer waits inside; the end must not wait with it.
            _ = stopping.wait_for(|stop| *stop) => return,
            fired = core.fire_due(per_tick) => fired,
            () = without_room(&core, &pulse) => unreachable!("it looks on for ever"),
        };
        if let Err(error) = fired {
            tracing::warn!(%error, "timers wait");
        }
    }
}

/// Says that the timers wait, not work, while the journal has no room. Never resolves.
async fn without_room(core: &Core, pulse: &Pulse) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if core.room().is_err() {
            pulse.idle();
        }
    }
}

/// Reads what is stored and due next, where the timers in memory run short of it.
async fn look_ahead(core: &Core) {
    if !core.wants_look_ahead() {
        return;
    }
    let core = core.clone();
    // None where the runtime ends, and the timers with it.
    if let Some(Err(error)) = spawn::blocking(move || core.look_ahead()).await {
        tracing::warn!(%error, "stored due timers were not read");
    }
}

/// Evaluates the profiles that send nothing, after a catalog change; see [`Core::catch_up`].
async fn catch_up(
    core: Core,
    rate: Arc<AtomicU32>,
    pulse: Pulse,
    mut stopping: watch::Receiver<bool>,
) {
    let mut ticks = interval(CATCH_UP_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changed = Vec::new();
    loop {
        pulse.beat();
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        if changed.is_empty() {
            let core = core.clone();
            match spawn::blocking(move || core.catch_up(CATCH_UP_PAGE)).await {
                Some(Ok(page)) => changed = page.changed,
                Some(Err(error)) => tracing::warn!(%error, "profiles were not evaluated anew"),
                None => return,
            }
        }
        // It may wait for room in the journal.
        pulse.idle();
        // Half of the timers' rate, in ten ticks a second.
        let per_second = usize::try_from(rate.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let count = changed.len().min(per_second.div_ceil(20).max(1));
        for id in changed.drain(..count) {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                evaluated = core.evaluate_now(id) => if let Err(error) = evaluated {
                    tracing::warn!(%error, profile = %id, "a profile was not evaluated anew");
                },
            }
        }
    }
}

async fn checkpoint(
    reopening: Reopening,
    bad_rows: BadRows,
    pulse: Pulse,
    mut stopping: watch::Receiver<bool>,
) {
    let mut ticks = interval(CHECKPOINT_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    loop {
        pulse.beat();
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
            // New profiles come faster than a look a second lets old ones go.
            () = reopening.core.memory_pressed(), if !failed => {}
        }
        reopening.look().await;
        let core = reopening.core.clone();
        core.observe_time();
        core.journal().charge("bad rows", bad_rows.bytes());
        let state = reopening.data_dir.join("state");
        let (rows, now) = (bad_rows.clone(), core.now());
        let checkpoint = move || {
            if let Err(error) = rows.expire(now) {
                tracing::warn!(%error, "old bad rows were not removed");
            }
            match occupied(&state) {
                Ok(bytes) => core.journal().charge("profiles and outbox", bytes),
                // What was charged last stays.
                Err(error) => {
                    tracing::warn!(%error, "the size of profiles and outbox is not known");
                }
            }
            core.checkpoint(Extent::Due)
        };
        let written = spawn::blocking(checkpoint).await;
        failed = !matches!(written, Some(Ok(_)));
        match written {
            Some(Ok(0)) => {}
            Some(Ok(rows)) => tracing::debug!(rows, "checkpoint"),
            Some(Err(error)) => tracing::error!(%error, "the checkpoint was not written"),
            None => return,
        }
    }
}

/// Bytes that the files below `dir` take on the disk: of one that is sparse, only what it holds.
fn occupied(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        // One may go while it is looked at.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += if metadata.is_dir() {
            occupied(&entry.path()).unwrap_or(0)
        } else {
            metadata.blocks() * BLOCK_BYTES
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparse_file_counts_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let sparse = std::fs::File::create(below.join("sparse")).unwrap();
        sparse.set_len(64 << 20).unwrap();
        std::fs::write(dir.path().join("full"), vec![1; 1 << 20]).unwrap();
        std::fs::File::open(dir.path().join("full"))
            .unwrap()
            .sync_all()
            .unwrap();
        let bytes = occupied(dir.path()).unwrap();
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
    }
}
