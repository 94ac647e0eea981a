//! Reports the process's state to the service manager, where there is one that asks
//! (`NOTIFY_SOCKET`, sd_notify(3)). Elsewhere every call does nothing.

use sd_notify::NotifyState;

/// The gateway serves; this process is the service from now on, also where it took over from one.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::MainPid(std::process::id())]);
}

/// A reload begins; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic clock for the service manager"),
    }
}

/// Every thread and task moves on: the watchdog (`WatchdogSec=`) starts anew.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The gateway ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::debug!(%error, "the service manager was not notified");
    }
}
