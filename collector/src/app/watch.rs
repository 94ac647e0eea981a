//! The look at the files that a reload reads. A file counts as changed once it looks the same twice
//! in a row, so that one half written is left to be finished.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::reading::Reading;
use super::reload::Reloads;
use crate::fingerprint::Fingerprint;
use crate::liveness::spawn;

/// How often the setting is looked at while it says never.
const OFF_INTERVAL: Duration = Duration::from_secs(1);

/// How long a look at all files may take.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

type Look = Vec<(PathBuf, Option<Fingerprint>)>;

/// Reloads on every change until it has to stop. The first look reloads too: a file may have changed
/// between being read and being watched.
pub(super) async fn watch(reloads: Arc<Reloads>, mut stopping: watch::Receiver<bool>) {
    let (mut before, mut done) = (None, None);
    let looks = Reading::within(LOOK_LIMIT);
    loop {
        let interval_ms = reloads.in_force().reload.watch_interval_ms;
        let pause = match interval_ms {
            0 => OFF_INTERVAL,
            ms => Duration::from_millis(ms),
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
        if interval_ms == 0 {
            continue;
        }
        let files = reloads.files();
        let looked = looks.round(|round| {
            // They may be on a slow disk.
            spawn::blocking(move || {
                round.reads(Path::new("one of the watched files"));
                look(files)
            })
        });
        let now = match looked.await {
            Ok(Some(now)) => now,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "changed files are not noticed");
                continue;
            }
        };
        let settled = before.as_ref() == Some(&now);
        if settled && done.as_ref() != Some(&now) {
            done = Some(now.clone());
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                // What was wrong is logged and counted there.
                _reloaded = reloads.reload() => {}
            }
        }
        before = Some(now);
    }
}

fn look(files: Vec<PathBuf>) -> Look {
    files
        .into_iter()
        .map(|path| {
            let seen = Fingerprint::of(&path);
            (path, seen)
        })
        .collect()
}
