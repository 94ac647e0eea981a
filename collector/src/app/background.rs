//! What runs beside the requests: timers, the checkpoint, the disk accounts, the look at
//! certificates and their renewal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::bad_rows::BadRows;
use crate::core::Core;
use crate::core::checkpoint::Extent;
use crate::edge::{self, Acme, Certificates};
use crate::settings::Settings;

/// Timers are looked at this often.
const TIMER_TICK: Duration = Duration::from_millis(50);
/// The store's due index is read this often; it reaches two minutes ahead.
const LOOK_AHEAD_TICK: Duration = Duration::from_secs(30);
/// The checkpoint looks for work this often.
const CHECKPOINT_TICK: Duration = Duration::from_secs(1);

pub(super) fn spawn(
    core: &Core,
    bad_rows: &BadRows,
    certificates: Option<Arc<Certificates>>,
    acme: Option<Arc<Acme>>,
    settings: &Settings,
    timer_rate: &Arc<AtomicU32>,
    stopping: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let rate = Arc::clone(timer_rate);
    let mut tasks = vec![
        tokio::spawn(timers(core.clone(), rate, stopping.clone())),
        tokio::spawn(look_ahead(core.clone(), stopping.clone())),
        tokio::spawn(checkpoint(core.clone(), bad_rows.clone(), stopping.clone())),
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

async fn look_ahead(core: Core, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(LOOK_AHEAD_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let core = core.clone();
        match tokio::task::spawn_blocking(move || core.look_ahead()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "due timers at rest were not read"),
            Err(error) => tracing::error!(%error, "reading due timers panicked"),
        }
    }
}

async fn checkpoint(core: Core, bad_rows: BadRows, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(CHECKPOINT_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        core.observe_time();
        core.journal().charge("bad rows", bad_rows.bytes());
        core.journal()
            .charge("profiles and outbox", core.store_bytes());
        let core = core.clone();
        match tokio::task::spawn_blocking(move || core.checkpoint(Extent::Due)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(rows)) => tracing::debug!(rows, "checkpoint"),
            Ok(Err(error)) => tracing::error!(%error, "the checkpoint was not written"),
            Err(error) => tracing::error!(%error, "the checkpoint panicked"),
        }
    }
}
