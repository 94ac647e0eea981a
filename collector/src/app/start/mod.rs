//! Start: directory, journal, catalog, state, activation, cursors, listeners. What fails says what
//! to do; nothing is served before everything stands.

mod error;
mod probes;
mod state;

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::sync::watch::{Receiver, channel};
use tokio::task::JoinHandle;

pub use error::StartError;
pub(super) use state::{blocking, database};

use super::ahead::Ahead;
use super::bound::{Addresses, Bound, offered, open_admin, watched};
use super::control::AppControl;
use super::figures::Figures;
use super::hand_over::{Before, Inherited, Offer, Successor};
use super::lookups::Lookups;
use super::open_files::OpenFiles;
use super::reload::{self, Reloads};
use super::reopen::StateStores;
use super::{Gateway, background, watch};
use crate::admin::{self, Admin};
use crate::catalog::Catalog;
use crate::clock::{Clock, GatewayClock, SystemClock};
#[cfg(test)]
use crate::core::Progress;
use crate::device::CacheMetrics;
use crate::edge::{Edge, EdgeMetrics, Listeners, SourceMetrics};
use crate::formats;
use crate::liveness::{AfterLook, Bounds, Liveness, spawn};
use crate::recent::RecentOutcomes;
use crate::settings::load::Origin;
use crate::settings::{self, Settings};
use probes::Probes;
use state::{AtRest, State, evaluators};

/// What a gateway is started with.
#[derive(Debug, Default)]
pub struct Launch {
    /// The settings.
    pub settings: Settings,
    /// Where that comes from, to be read again on reload; None where it was made up in this process.
    pub origin: Option<Origin>,
    /// Applied in place of the configured file.
    pub catalog: Option<Catalog>,
    /// Sockets that are open already.
    pub inherited: Inherited,
    /// The process before, which has to end first.
    pub before: Before,
    /// How many files this process may have open.
    pub open_files: OpenFiles,
    /// Called four times a second with what is found of the gateway's threads and tasks.
    pub after_look: Option<AfterLook>,
    /// Where "now" comes from.
    pub clock: SystemClock,
    /// Called while the journal is replayed, with each report of its progress.
    #[cfg(test)]
    pub replaying: Option<fn(Progress)>,
}

impl Gateway {
    /// Starts a gateway and announces its addresses in `addresses.json` of the data directory.
    ///
    /// # Errors
    /// [`StartError`]
    #[expect(clippy::too_many_lines, reason = "the wiring, read from top to bottom")]
    pub async fn start(launch: Launch) -> Result<Self, StartError> {
        let Launch {
            settings,
            origin,
            catalog,
            mut inherited,
            before,
            open_files,
            after_look,
            clock,
            #[cfg(test)]
            replaying,
        } = launch;
        formats::check(&settings.data_dir)?;
        let held = held(&settings, open_files)?;
        let tls = settings.admin.tls.as_ref();
        let admin_tls = tls.map(admin::tls::acceptor).transpose()?;
        let clock: Arc<SystemClock> = Arc::new(clock);
        let liveness = Liveness::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let mut registry = Registry::default();
        let Ahead {
            token,
            geo,
            devices,
            bound,
            compiled,
            lock_patience,
            handed_over_at_us,
        } = Ahead::start(&settings, evaluators(), before, &clock, || {
            Bound::open(&settings, &mut inherited, None, &clock, &mut registry)
        })
        .await?;
        let early_admin = match &bound {
            Some(_) => None,
            None => open_admin(&settings.admin, &mut inherited)?,
        };
        // After a take-over too: what the process before did not checkpoint is replayed.
        let admin = bound.as_ref().map(|bound| &bound.admin);
        let probes = admin
            .or(early_admin.as_ref())
            .map_or_else(Probes::default, |admin| {
                Probes::serve(admin, admin_tls.clone(), &settings.admin)
            });
        let system = clock;
        let clock = Arc::new(GatewayClock::new(*system));
        let rest = AtRest {
            settings: &settings,
            clock: &clock,
            liveness: &liveness,
            lock_patience,
            open_files,
            replay: probes.replay(),
            #[cfg(test)]
            replaying,
        };
        let State {
            core,
            catalogs,
            sources,
            activation,
            activation_cursor,
            bad_rows,
            kafka,
            traces,
        } = rest.open(catalog.as_ref(), compiled, &mut registry).await?;
        let (traces, export) = traces.unzip();
        let budget = settings.journal.disk_budget;
        let figures = Figures {
            core: core.clone(),
            activation: activation.clone(),
            bad_rows: bad_rows.clone(),
            clock: Arc::clone(&clock),
        };
        figures.register(&mut registry, &liveness, budget);
        let (stop, stopping) = channel(false);
        let (stop_admin, stopping_admin) = channel(false);

        let bound = match bound {
            Some(open) => open,
            None => Bound::open(
                &settings,
                &mut inherited,
                early_admin,
                &system,
                &mut registry,
            )?,
        };
        let Bound {
            sockets,
            admin: admin_listener,
            tls,
        } = bound;
        let addresses = Addresses::of(&sockets)?;
        let offered = offered(&sockets, &admin_listener);
        let certificates = tls.as_ref().map(|tls| Arc::clone(tls.certificates()));
        let acme = tls.as_ref().and_then(|tls| tls.acme().cloned());
        let listeners = Listeners::new(sockets, tls, &settings.edge.h3);
        let listeners = listeners.map_err(StartError::Sockets)?;
        let (admin_listener, admin_addr) = watched(admin_listener)?;
        let devices = devices.loaded().await?;
        let devices = devices.counting(CacheMetrics::register(&mut registry));
        let lookups = Lookups {
            geo,
            devices: Arc::new(devices),
        };
        let edge_metrics = EdgeMetrics::register(&mut registry);
        registry.register_collector(Box::new(SourceMetrics::new(
            Arc::clone(&sources),
            Arc::clone(&edge_metrics.outcomes),
        )));
        let mut edge = Edge::new(
            &held,
            sources,
            core.clone(),
            Arc::new(lookups.clone()),
            Arc::clone(&clock) as Arc<dyn Clock>,
            edge_metrics,
            bad_rows.clone(),
        );
        if let Some(quic) = addresses.quic {
            edge = edge.advertising_http3(quic.port(), &settings);
        }
        let telemetry = &settings.telemetry;
        let recent = RecentOutcomes::new(telemetry.outcomes_max, telemetry.outcomes_sample);
        let draining = Arc::new(AtomicBool::new(false));
        let edge = edge.remembering(recent.clone()).tracing(traces);
        let edge = edge.until(Arc::clone(&draining), liveness.disk_hangs());
        let edge = Arc::new(edge);
        let timer_rate = Arc::new(AtomicU32::new(settings.timers.rate_max));
        let parts = reload::Parts {
            origin,
            settings: settings.clone(),
            catalogs: Arc::clone(&catalogs),
            edge: Arc::clone(&edge),
            lookups,
            certificates: certificates.clone(),
            timer_rate: Arc::clone(&timer_rate),
            recent: recent.clone(),
        };
        let pause = hand_over_pause(&mut registry);
        let reloads = Arc::new(Reloads::new(parts, &mut registry));
        let control = AppControl {
            core: core.clone(),
            catalogs: Arc::clone(&catalogs),
            activation: activation.clone(),
            bad_rows: bad_rows.clone(),
            figures,
            reloads: Arc::clone(&reloads),
            draining: Arc::clone(&draining),
            recent,
            liveness: liveness.clone(),
        };
        let admin = Arc::new(Admin::new(
            control,
            Arc::new(registry),
            token,
            settings::Admin {
                // Its name is that of the socket, which may be inherited.
                listen: admin_addr,
                ..settings.admin.clone()
            },
        ));
        let stores = StateStores {
            core: core.clone(),
            activation: activation.clone(),
            data_dir: settings.data_dir.clone(),
            open_files,
        };
        let mut background = background::spawn(
            stores,
            &bad_rows,
            (certificates, acme),
            &settings,
            &timer_rate,
            &stopping,
            &liveness,
        );
        let holding = |part: &'static str| liveness.register(part, background::HELD);
        background.push(spawn::holding(
            holding("file-watch"),
            watch::watch(Arc::clone(&reloads), stopping.clone()),
        ));
        if let Some(export) = export {
            background.push(spawn::holding(
                holding("trace-export"),
                export.run(stopping.clone()),
            ));
        }
        let (offer, successors) = offer(&settings.data_dir, offered);
        let gateway_lives = stopping.clone();
        drop(probes);
        let edge_task = spawn::holding(
            holding("edge-accept"),
            listeners.serve(Arc::clone(&edge), stopped(stopping)),
        );
        let admin_task = spawn::holding(
            holding("admin-accept"),
            admin::serve(admin_listener, admin_tls, admin, stopped(stopping_admin)),
        );
        let bounds = Bounds {
            cursor_stalled_ms: settings.liveness.cursor_stalled_ms,
            durable_lag_max_ms: settings.liveness.durable_lag_max_ms,
            checkpoint_lag: settings.checkpoint.lag_records,
        };
        liveness
            .watch(core.journal().clone(), bounds, after_look, gateway_lives)
            .map_err(StartError::Thread)?;
        let gateway = Self {
            background,
            edge_task,
            admin_task,
            liveness,
            core,
            catalogs,
            reloads,
            draining,
            successors: tokio::sync::Mutex::new(successors),
            offer,
            edge,
            activation,
            activation_cursor: Some(activation_cursor),
            kafka,
            http: addresses.http,
            https: addresses.https,
            admin: admin_addr,
            stop,
            stop_admin,
        };
        announce(&settings.data_dir, addresses, admin_addr)?;
        if let Some(handed_over_at_us) = handed_over_at_us {
            let pause_us = clock.monotonic_us().saturating_sub(handed_over_at_us);
            pause.set(Duration::from_micros(pause_us).as_secs_f64());
            tracing::info!(
                pause_ms = pause_us / 1_000,
                "took over; new connections waited so long"
            );
        }
        Ok(gateway)
    }
}

/// The settings with no more connections than leave the gateway the files that it needs.
fn held(settings: &Settings, open_files: OpenFiles) -> Result<Settings, StartError> {
    let (limit, wanted) = (open_files, OpenFiles::wanted(settings));
    let Some(connections_max) = open_files.connections(settings) else {
        return Err(StartError::OpenFiles { limit, wanted });
    };
    let mut held = settings.clone();
    held.edge.connections_max = connections_max;
    if connections_max < settings.edge.connections_max {
        tracing::warn!(
            %limit,
            wanted,
            connections_max,
            "too few open files are allowed for edge.connections_max: it is held to fewer, further \
             connections wait. Raise the service's limit (systemd: LimitNOFILE=, Docker: --ulimit \
             nofile=, shell: ulimit -Hn), or lower edge.connections_max"
        );
    }
    Ok(held)
}

async fn stopped(mut stopping: Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Offers the sockets; a gateway that cannot have all of them twice, or whose directory takes no
/// unix socket, goes without.
fn offer(
    data_dir: &Path,
    sockets: std::io::Result<Vec<(&'static str, OwnedFd)>>,
) -> (Option<JoinHandle<()>>, mpsc::Receiver<Successor>) {
    let (taken, successors) = mpsc::channel(1);
    match sockets.and_then(|sockets| Offer::new(data_dir, sockets)) {
        Ok(offer) => (Some(spawn::short(offer.serve(taken))), successors),
        Err(error) => {
            tracing::warn!(%error, "no hand-over on the next restart: cannot offer the sockets");
            (None, successors)
        }
    }
}

fn hand_over_pause(registry: &mut Registry) -> Gauge<f64, AtomicU64> {
    let pause = Gauge::<f64, AtomicU64>::default();
    registry.register(
        "tidegate_handover_pause_seconds",
        "How long new connections waited when this process took over; 0 where it did not",
        pause.clone(),
    );
    pause
}

/// Written last: who finds it can connect. Replaced atomically.
fn announce(data_dir: &Path, edge: Addresses, admin: SocketAddr) -> Result<(), StartError> {
    let Addresses { http, https, quic } = edge;
    let secure = https.map_or(String::new(), |https| format!(",\"https\":\"{https}\""));
    let write = || -> std::io::Result<()> {
        let next = data_dir.join("addresses.json.next");
        let mut file = std::fs::File::create(&next)?;
        writeln!(
            file,
            "{{\"http\":\"{http}\"{secure},\"admin\":\"{admin}\"}}"
        )?;
        std::fs::rename(next, data_dir.join("addresses.json"))
    };
    write().map_err(|error| StartError::DataDir {
        path: data_dir.to_owned(),
        error,
    })?;
    let https = https.map(tracing::field::display);
    tracing::info!(%http, https, http3 = quic.is_some(), %admin, "ready");
    Ok(())
}
