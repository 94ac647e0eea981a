//! Answers probes on the admin listener while the state is opened: a replay of a long journal takes
//! a while, and an orchestrator must not take that for a gateway that hangs.

use std::net::TcpListener;
use std::sync::Arc;

use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::admin::{self, Replay, Starting};
use crate::app::bound::watched;
use crate::liveness::spawn;
use crate::settings;

/// Ends when dropped: the listener of the started gateway follows.
#[derive(Debug, Default)]
pub(super) struct Probes {
    replay: Replay,
    serving: Option<AbortHandle>,
}

impl Probes {
    /// Serves on a copy of `listener`. Where the socket cannot be copied, no probe is answered.
    pub(super) fn serve(
        listener: &TcpListener,
        tls: Option<TlsAcceptor>,
        settings: &settings::Admin,
    ) -> Self {
        let replay = Replay::default();
        let starting = Arc::new(Starting::new(replay.clone(), settings.clone()));
        let copy = listener.try_clone().ok();
        let copy = copy.and_then(|copy| watched(copy).ok());
        let serving = copy.map(|(copy, _)| {
            let serve = admin::serve(copy, tls, starting, std::future::pending());
            spawn::short(serve).abort_handle()
        });
        Self { replay, serving }
    }

    /// What the thread that replays the journal reports to.
    pub(super) fn replay(&self) -> Replay {
        self.replay.clone()
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}
