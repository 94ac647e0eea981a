//! Reload on a running gateway: everything that can be wrong is read, checked and compiled first,
//! then all of it takes effect, or none of it does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::catalogs::{Catalogs, FileRefused, Ready};
use super::lookups::Lookups;
use super::reading::{Reading, Round};
use crate::admin::control::{
    ApplyRefused, FaultView, FileChange, ReloadRefused, ReloadView, ReloadedParts,
};
use crate::core::Core;
use crate::device;
use crate::edge::{CertificateError, Certificates, Edge, Fresh};
use crate::recent::RecentOutcomes;
use crate::settings::change::Changes;
use crate::settings::load::{LoadError, Origin};
use crate::settings::{Settings, caution};

/// How long all files of one reload may take.
const READ_LIMIT: Duration = Duration::from_secs(60);

/// Everything that runs by files which may change.
pub(super) struct Parts {
    /// None where the settings were made up in this process.
    pub(super) origin: Option<Origin>,
    pub(super) settings: Settings,
    pub(super) catalogs: Arc<Catalogs>,
    pub(super) edge: Arc<Edge<Core>>,
    pub(super) lookups: Lookups,
    pub(super) certificates: Option<Arc<Certificates>>,
    /// `timers.rate_max`, as the timers read it.
    pub(super) timer_rate: Arc<AtomicU32>,
    pub(super) recent: RecentOutcomes,
}

/// The settings in force, and how they change.
#[derive(Debug)]
pub(super) struct Reloads {
    parts: Parts,
    in_force: ArcSwap<Settings>,
    results: Results,
    /// One at a time.
    reloading: tokio::sync::Mutex<()>,
    reading: Reading,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// What a reload found, and nothing in it can be refused but by the catalog's store.
struct Read<'a> {
    settings: Settings,
    changes: Changes,
    databases: Option<crate::geo::Loaded>,
    user_agents: Option<device::Loaded>,
    catalog: Option<Ready<'a>>,
    certificates: Option<(Arc<Certificates>, Fresh)>,
}

/// Every mistake that was found.
type Faults = Vec<FaultView>;

impl Reloads {
    pub(super) fn new(parts: Parts, registry: &mut Registry) -> Self {
        Self {
            in_force: ArcSwap::from_pointee(parts.settings.clone()),
            parts,
            results: Results::register(registry),
            reloading: tokio::sync::Mutex::new(()),
            reading: Reading::within(READ_LIMIT),
        }
    }

    /// The settings that the gateway runs by.
    pub(super) fn in_force(&self) -> Arc<Settings> {
        self.in_force.load_full()
    }

    /// The files that a reload reads, certificates aside: those have a watch of their own.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let settings = self.in_force();
        let config = self.parts.origin.as_ref().and_then(|o| o.config.clone());
        let others = [
            &settings.catalog,
            &settings.geoip.city,
            &settings.geoip.asn,
            &settings.user_agents.regexes,
            &settings.user_agents.crawlers,
        ];
        config
            .into_iter()
            .chain(others.into_iter().flatten().cloned())
            .collect()
    }

    /// Reads everything again and takes what changed.
    pub(super) async fn reload(&self) -> Result<ReloadView, ReloadRefused> {
        let _one = self.reloading.lock().await;
        match self.try_reload().await {
            Ok(view) => {
                self.results.count(&view);
                report(&view);
                caution::warn(&self.in_force());
                Ok(view)
            }
            Err(faults) => {
                self.results.refused.inc();
                for fault in &faults {
                    tracing::error!(%fault, "not reloaded, everything stays as it was");
                }
                Err(ReloadRefused { faults })
            }
        }
    }

    async fn try_reload(&self) -> Result<ReloadView, Faults> {
        let round = self.reading.round(|round| self.read(round)).await;
        let read = round.map_err(|hangs| vec![named("reload", &hangs)])??;
        self.take(read).await
    }

    /// Everything that may have changed, checked and compiled.
    async fn read(&self, round: Round) -> Result<Read<'_>, Faults> {
        let mut faults = Vec::new();
        let read = noted(self.read_settings(&round).await, &mut faults);
        // Also where they have mistakes all other files are read, so that all are reported at once.
        let (next, changes) =
            read.unwrap_or_else(|| ((*self.in_force()).clone(), Changes::default()));
        let databases = noted(self.read_geo(&next, &round).await, &mut faults).flatten();
        let user_agents = noted(self.read_user_agents(&next, &round).await, &mut faults).flatten();
        let catalog = noted(self.read_catalog(&next, &round).await, &mut faults).flatten();
        let certificates = noted(self.read_certificates(&round).await, &mut faults).flatten();
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Read {
            settings: next,
            changes,
            databases,
            user_agents,
            catalog,
            certificates,
        })
    }

    /// Puts what was read in force.
    async fn take(&self, read: Read<'_>) -> Result<ReloadView, Faults> {
        let Read {
            settings,
            changes,
            databases,
            user_agents,
            catalog,
            certificates,
        } = read;
        let mut parts = ReloadedParts::default();
        // First, since its store may still refuse it; what comes after cannot fail.
        if let Some(catalog) = catalog {
            let applied = self.parts.catalogs.put(catalog).await;
            applied.map_err(|refused| apply_faults("catalog", &refused))?;
            parts.catalog = FileChange::Changed;
        }
        if let Some((certificates, fresh)) = certificates {
            certificates.put(fresh);
            parts.certificates = FileChange::Changed;
        }
        if let Some(databases) = databases {
            self.parts.lookups.geo.put(databases);
            parts.geoip = FileChange::Changed;
        }
        if let Some(user_agents) = user_agents {
            self.parts.lookups.devices.put(user_agents);
            parts.user_agents = FileChange::Changed;
        }
        if !changes.live.is_empty() {
            self.put(settings);
        }
        Ok(ReloadView {
            changed: owned(&changes.live),
            needs_restart: owned(&changes.restart),
            parts,
        })
    }

    fn put(&self, settings: Settings) {
        let rate = settings.timers.rate_max;
        self.parts.timer_rate.store(rate, Ordering::Relaxed);
        let sample = settings.telemetry.outcomes_sample;
        self.parts.recent.set_sample(sample);
        self.parts.edge.renew(&settings);
        self.in_force.store(Arc::new(settings));
    }

    async fn read_settings(&self, round: &Round) -> Result<(Settings, Changes), Faults> {
        let in_force = self.in_force();
        let Some(origin) = self.parts.origin.clone() else {
            return Ok(((*in_force).clone(), Changes::default()));
        };
        let config = origin.config.clone().unwrap_or_default();
        let read = round.blocking(&config, move || origin.read_over(&in_force));
        match read.await {
            Ok(read) => read.map_err(|error| load_faults(&config, &error)),
            Err(panicked) => Err(vec![whole(&config, &panicked)]),
        }
    }

    async fn read_geo(
        &self,
        next: &Settings,
        round: &Round,
    ) -> Result<Option<crate::geo::Loaded>, Faults> {
        let (geo, settings) = (Arc::clone(&self.parts.lookups.geo), next.geoip.clone());
        let file = Path::new("a file of [geoip]");
        let read = round.blocking(file, move || geo.prepare(&settings)).await;
        match read {
            Ok(read) => read.map_err(|error| vec![named("geoip", &error)]),
            Err(panicked) => Err(vec![named("geoip", &panicked)]),
        }
    }

    async fn read_user_agents(
        &self,
        next: &Settings,
        round: &Round,
    ) -> Result<Option<device::Loaded>, Faults> {
        let devices = Arc::clone(&self.parts.lookups.devices);
        let settings = next.user_agents.clone();
        let file = Path::new("a file of [user_agents]");
        let read = round.blocking(file, move || devices.prepare(&settings));
        match read.await {
            Ok(read) => read.map_err(|error| vec![named(error.setting(), &error)]),
            Err(panicked) => Err(vec![named("user_agents", &panicked)]),
        }
    }

    async fn read_catalog(
        &self,
        next: &Settings,
        round: &Round,
    ) -> Result<Option<Ready<'_>>, Faults> {
        let Some(path) = &next.catalog else {
            return Ok(None);
        };
        round.reads(path);
        let prepared = self.parts.catalogs.prepare_file(path, round.clone()).await;
        prepared.map_err(|refused| catalog_faults(path, &refused))
    }

    async fn read_certificates(
        &self,
        round: &Round,
    ) -> Result<Option<(Arc<Certificates>, Fresh)>, Faults> {
        let Some(certificates) = self.parts.certificates.clone() else {
            return Ok(None);
        };
        let read = round.blocking(Path::new("a file of [edge.tls]"), move || {
            let fresh = certificates.prepare()?;
            Ok::<_, CertificateError>(fresh.map(|fresh| (certificates, fresh)))
        });
        match read.await {
            Ok(read) => read.map_err(|error| vec![named("edge.tls", &error)]),
            Err(panicked) => Err(vec![named("edge.tls", &panicked)]),
        }
    }
}

fn report(view: &ReloadView) {
    if view.applied() {
        tracing::info!(
            changed = view.changed.join(","),
            catalog = ?view.parts.catalog,
            geoip = ?view.parts.geoip,
            user_agents = ?view.parts.user_agents,
            certificates = ?view.parts.certificates,
            "reloaded"
        );
    }
    if !view.needs_restart.is_empty() {
        let keys = view.needs_restart.join(",");
        tracing::warn!(keys, "changed settings wait for a restart");
    }
}

/// The value, or its faults noted.
fn noted<T>(result: Result<T, Faults>, faults: &mut Faults) -> Option<T> {
    result.map_err(|found| faults.extend(found)).ok()
}

fn owned(keys: &[&'static str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

fn load_faults(path: &Path, error: &LoadError) -> Faults {
    match error {
        LoadError::Faults(faults) => faults.iter().map(FaultView::from).collect(),
        LoadError::Unreadable { source, .. } => vec![whole(path, source)],
    }
}

fn catalog_faults(path: &Path, refused: &FileRefused) -> Faults {
    match refused {
        FileRefused::Unreadable(error) => load_faults(path, error),
        FileRefused::Refused(refused) => apply_faults(&path.display().to_string(), refused),
    }
}

fn apply_faults(file: &str, refused: &ApplyRefused) -> Faults {
    match refused {
        ApplyRefused::Faults(faults) => faults.iter().map(FaultView::from).collect(),
        ApplyRefused::Conflict | ApplyRefused::Failed { .. } => {
            vec![whole(Path::new(file), refused)]
        }
    }
}

/// A file that is wrong as a whole.
fn whole(path: &Path, error: &dyn std::fmt::Display) -> FaultView {
    FaultView {
        file: path.display().to_string(),
        line: 0,
        column: 0,
        key: String::new(),
        message: error.to_string(),
    }
}

/// A file that the settings name under `key`; the message says which.
fn named(key: &str, error: &dyn std::fmt::Display) -> FaultView {
    FaultView {
        file: "settings".to_owned(),
        line: 0,
        column: 0,
        key: key.to_owned(),
        message: error.to_string(),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug)]
struct Results {
    applied: Counter,
    unchanged: Counter,
    refused: Counter,
}

impl Results {
    fn register(registry: &mut Registry) -> Self {
        let family = Family::<ResultLabel, Counter>::default();
        registry.register(
            "tidegate_reloads",
            "Reloads of settings, catalog, GeoIP databases, user agent data and certificates, by result",
            family.clone(),
        );
        let counter = |result| family.get_or_create_owned(&ResultLabel { result });
        Self {
            applied: counter("applied"),
            unchanged: counter("unchanged"),
            refused: counter("refused"),
        }
    }

    fn count(&self, view: &ReloadView) {
        if view.applied() {
            self.applied.inc();
        } else {
            self.unchanged.inc();
        }
    }
}
