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
use crate::settings::Settings;

/// Timers are looked at this often.
const TIMER_TICK: Duration = Duration::from_millis(50);
/// After a catalog change so many profiles are looked at, this often.
const CATCH_UP_TICK: Duration = Duration::from_millis(100);
const CATCH_UP_PAGE: usize = 1_000;
/// The checkpoint looks for work this often.
const CHECKPOINT_TICK: Duration = Duration::from_secs(1);

/// Unit of `st_blocks` (stat(2)).
const BLOCK_BYTES: u64 = 512;

pub(super) fn spawn(
    reopening: Reopening,
    bad_rows: &BadRows,
    certificates: Option<Arc<Certificates>>,
    acme: Option<Arc<Acme>>,
    settings: &Settings,
    timer_rate: &Arc<AtomicU32>,
    stopping: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let rate = Arc::clone(timer_rate);
    let core = &reopening.core.clone();
    let mut tasks = vec![
        tokio::spawn(timers(core.clone(), rate, stopping.clone())),
        tokio::spawn(catch_up(
            core.clone(),
            Arc::clone(timer_rate),
            stopping.clone(),
        )),
        tokio::spawn(checkpoint(reopening, bad_rows.clone(), stopping.clone())),
    ];
    if let Some(certificates) = certificates {
        let interval_ms = settings.edge.tls.reload_interval_ms;
        let mut stopping = stopping.clone();
        tasks.push(tokio::spawn(async move {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => {}
                () = edge::watch(certificates, interval_ms) => {}
            }
        }));
    }
    if let Some(acme) = acme {
        let mut stopping = stopping.clone();
        tasks.push(tokio::spawn(async move {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => {}
                () = acme.run() => {}
            }
        }));
    }
    tasks
}

async fn timers(core: Core, rate: Arc<AtomicU32>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(TIMER_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
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
        };
        if let Err(error) = fired {
            tracing::warn!(%error, "timers wait");
        }
    }
}

/// Reads what is stored and due next, where the timers in memory run short of it.
async fn look_ahead(core: &Core) {
    if !core.wants_look_ahead() {
        return;
    }
    let core = core.clone();
    match tokio::task::spawn_blocking(move || core.look_ahead()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "due timers at rest were not read"),
        Err(error) => tracing::error!(%error, "reading due timers panicked"),
    }
}

/// Evaluates the profiles that send nothing, after a catalog change; see [`Core::catch_up`].
async fn catch_up(core: Core, rate: Arc<AtomicU32>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(CATCH_UP_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changed = Vec::new();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        if changed.is_empty() {
            let core = core.clone();
            let page = move || core.catch_up(CATCH_UP_PAGE);
            match tokio::task::spawn_blocking(page).await {
                Ok(Ok(page)) => changed = page.changed,
                Ok(Err(error)) => tracing::warn!(%error, "profiles were not evaluated anew"),
                Err(error) => tracing::error!(%error, "evaluating profiles anew panicked"),
            }
        }
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

async fn checkpoint(reopening: Reopening, bad_rows: BadRows, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(CHECKPOINT_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    loop {
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
        let written = tokio::task::spawn_blocking(checkpoint).await;
        failed = !matches!(written, Ok(Ok(_)));
        match written {
            Ok(Ok(0)) => {}
            Ok(Ok(rows)) => tracing::debug!(rows, "checkpoint"),
            Ok(Err(error)) => tracing::error!(%error, "the checkpoint was not written"),
            Err(error) => tracing::error!(%error, "the checkpoint panicked"),
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
