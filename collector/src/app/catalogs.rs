//! Catalog changes on a running gateway: checked and compiled first, then put in force part by
//! part; refused as a whole where anything is wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tidegate_activation::Activation;
use tokio::sync::MutexGuard;
use tokio::time::timeout;

use crate::admin::control::ApplyRefused;
use crate::catalog::change::Applied;
use crate::catalog::store::{ApplyError, ConfiguredFile, Current, Prepared, Store, StoreError};
use crate::catalog::{caution, destination};
use crate::clock::Clock;
use crate::core::Core;
use crate::decide::Rules;
use crate::document::Document;
use crate::edge::RuntimeCatalog;
use crate::settings::Cidr;
use crate::settings::load::{self, LoadError};

/// How long a change waits for room in the journal: a full one may have none for hours.
pub(super) const ROOM_PATIENCE: Duration = Duration::from_secs(5);

/// The catalog in force and everything that runs by it.
#[derive(Debug)]
pub(super) struct Catalogs {
    store: Arc<Store>,
    core: Core,
    activation: Activation,
    sources: Arc<ArcSwap<RuntimeCatalog>>,
    allow_private: Vec<Cidr>,
    /// Requests that destinations may have in flight together.
    in_flight_max: usize,
    clock: Arc<dyn Clock>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

/// A catalog that is checked and compiled. No other is applied while it waits.
pub(super) struct Ready<'a> {
    prepared: Prepared,
    rules: Rules,
    /// Whether it differs from the one that the core runs by. The store may be ahead, where the
    /// last change got no further than into it.
    changes: bool,
    _one: MutexGuard<'a, ()>,
}

/// Why the catalog of a file was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileRefused {
    #[error(transparent)]
    Unreadable(#[from] LoadError),
    #[error(transparent)]
    Refused(#[from] ApplyRefused),
}

impl Catalogs {
    pub(super) fn new(
        store: Store,
        core: Core,
        activation: Activation,
        sources: Arc<ArcSwap<RuntimeCatalog>>,
        allow_private: Vec<Cidr>,
        in_flight_max: usize,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store: Arc::new(store),
            core,
            activation,
            sources,
            allow_private,
            in_flight_max,
            clock,
            changing: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn current(&self) -> Result<Current, StoreError> {
        self.store.current()
    }

    /// Applies a catalog file, or only says what that would change.
    pub(super) async fn apply(&self, text: String, dry_run: bool) -> Result<Applied, ApplyRefused> {
        let ready = self.prepare("catalog", &text).await?;
        if dry_run {
            return Ok(ready.prepared.applied);
        }
        self.put(ready).await
    }

    /// Checks and compiles the catalog of the configured file; None where it is in force, and where
    /// it has not changed since it was taken and another was applied over it. `held` is dropped when
    /// the file is read, or will never be.
    pub(super) async fn prepare_file(
        &self,
        path: &Path,
        held: impl Send + 'static,
    ) -> Result<Option<Ready<'_>>, FileRefused> {
        let (store, path) = (Arc::clone(&self.store), path.to_owned());
        let read = move || -> Result<_, FileRefused> {
            let _held = held;
            let document = load::document(&path)?;
            let state = configured(&store, &document).map_err(|error| failed(&error))?;
            let current = store.current().map_err(|error| failed(&error))?;
            Ok((document, state, current))
        };
        let (document, state, current) = blocking(read).await??;
        match state {
            ConfiguredFile::Overridden => {
                say_overridden(document.name(), &current);
                return Ok(None);
            }
            // It is not in force where the last change got no further than into the store.
            ConfiguredFile::InForce if current.generation == self.core.generation() => {
                return Ok(None);
            }
            ConfiguredFile::InForce | ConfiguredFile::Changed => {}
        }
        let ready = self.prepare_document(document).await?;
        Ok(Some(Ready {
            prepared: ready.prepared.of_configured_file(),
            ..ready
        }))
    }

    async fn prepare(&self, name: &str, text: &str) -> Result<Ready<'_>, ApplyRefused> {
        self.prepare_document(Document::parse(name, text)).await
    }

    async fn prepare_document(&self, document: Document) -> Result<Ready<'_>, ApplyRefused> {
        let one = self.changing.lock().await;
        let (store, core) = (Arc::clone(&self.store), self.core.clone());
        let allow_private = self.allow_private.clone();
        let compile = move || {
            let prepared = store.prepare(&document, Some(&allow_private));
            let prepared = prepared.map_err(refused)?;
            let generation = prepared.applied.generation;
            let rules = core.prepare(&prepared.catalog, generation);
            let rules = rules.map_err(|error| failed(&error))?;
            Ok::<_, ApplyRefused>((prepared, rules))
        };
        let (prepared, rules) = blocking(compile).await??;
        Ok(Ready {
            changes: prepared.applied.generation != self.core.generation(),
            prepared,
            rules,
            _one: one,
        })
    }

    /// Puts a checked catalog in force.
    pub(super) async fn put(&self, ready: Ready<'_>) -> Result<Applied, ApplyRefused> {
        let Ready {
            prepared,
            rules,
            changes,
            _one: _held_until_the_end,
        } = ready;
        let generation = prepared.applied.generation;
        // First: nothing is touched where the journal has no room.
        let room = if changes {
            let room = timeout(ROOM_PATIENCE, self.core.catalog_room()).await;
            let room = room.map_err(|_elapsed| no_room())?;
            Some(room.map_err(|error| failed(&error))?)
        } else {
            None
        };
        let (store, now) = (Arc::clone(&self.store), self.clock.now());
        let (activation, in_flight_max) = (self.activation.clone(), self.in_flight_max);
        let commit = move || {
            store.commit(&prepared, now).map_err(refused)?;
            if changes {
                // Before the rules: the first change that they decide finds its destination.
                let configs = destination::configs(&prepared.catalog.destinations, in_flight_max);
                let set = activation.set_destinations(&configs);
                set.map_err(|error| failed(&error))?;
            }
            Ok::<_, ApplyRefused>(prepared)
        };
        let prepared = blocking(commit).await??;
        if let Some(room) = room {
            let catalog = &prepared.catalog;
            caution::warn(&catalog.sources, &catalog.destinations);
            let digest = &prepared.applied.digest;
            let switched = self.core.switch(rules, digest, room).await;
            switched.map_err(|error| failed(&error))?;
            self.mark_recorded(generation).await;
            let sources = self.sources.load().followed_by(&prepared.catalog);
            self.sources.store(Arc::new(sources));
        }
        tracing::info!(generation, "catalog applied");
        Ok(prepared.applied)
    }

    async fn mark_recorded(&self, generation: u32) {
        let store = Arc::clone(&self.store);
        let journal = self.core.journal().id().to_owned();
        let marked = blocking(move || store.mark_recorded(&journal, generation)).await;
        if let Err(error) = marked.and_then(|marked| marked.map_err(|error| failed(&error))) {
            tracing::warn!(%error, "the next start writes this catalog's record again");
        }
    }
}

/// How the configured file stands; one that is in force is remembered as taken.
fn configured(store: &Store, document: &Document) -> Result<ConfiguredFile, StoreError> {
    let state = store.configured_file(document.text())?;
    if state == ConfiguredFile::InForce {
        store.mark_configured(document.text())?;
    }
    Ok(state)
}

/// Says why the configured file is passed over.
pub(super) fn say_overridden(file: &str, current: &Current) {
    tracing::info!(
        generation = current.generation,
        digest = current.digest,
        "{file} is unchanged since it was last applied; the catalog in force came from an apply of \
         another one after it. To return to this file: tidegate apply {file}"
    );
}

/// Work on the store, the outbox or the compiler: not for a worker thread of the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApplyRefused> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| failed(&error))
}

fn no_room() -> ApplyRefused {
    ApplyRefused::Failed {
        reason: "the journal has no room for the record of this change: nothing is changed. Find \
                 the cursor that holds it (tidegate journal cursors list), then try again"
            .to_owned(),
    }
}

fn refused(error: ApplyError) -> ApplyRefused {
    match error {
        ApplyError::Faults(faults) => ApplyRefused::Faults(faults),
        ApplyError::Conflict => ApplyRefused::Conflict,
        ApplyError::Store(error) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> ApplyRefused {
    ApplyRefused::Failed {
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::app::{Gateway, Launch, Patience};
    use crate::document::Document;
    use crate::settings::Settings;

    const CHANGED: &str = r#"
[[source]]
name = "later"
write_key = "later-key"
kind = "web"
"#;

    const CONFIGURED: &str = r#"
[[source]]
name = "first"
write_key = "first-key"
kind = "web"
"#;

    fn configured(dir: &std::path::Path) -> Launch {
        let mut settings = Settings {
            data_dir: dir.join("data"),
            catalog: Some(dir.join("catalog.toml")),
            ..Settings::default()
        };
        settings.edge.http.set_port(0);
        settings.admin.listen.set_port(0);
        Launch {
            settings,
            ..Launch::default()
        }
    }

    fn source(gateway: &Gateway) -> String {
        let current = gateway.catalogs.current().unwrap();
        current.catalog.sources[0].name.clone()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_applied_catalog_outlives_restart_and_reload() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("catalog.toml");
        std::fs::write(&file, CONFIGURED).unwrap();
        let gateway = Gateway::start(configured(dir.path())).await.unwrap();
        assert_eq!(source(&gateway), "first");
        let catalogs = &gateway.catalogs;
        catalogs.apply(CHANGED.to_owned(), false).await.unwrap();
        assert!(
            catalogs.prepare_file(&file, ()).await.unwrap().is_none(),
            "an unrelated reload"
        );
        let patience = Patience::of(&gateway.settings().drain);
        gateway.stop(patience).await;

        let gateway = Gateway::start(configured(dir.path())).await.unwrap();
        assert_eq!(source(&gateway), "later");
        std::fs::write(&file, format!("{CONFIGURED}# edited\n")).unwrap();
        let catalogs = &gateway.catalogs;
        let edited = catalogs.prepare_file(&file, ()).await.unwrap().unwrap();
        catalogs.put(edited).await.unwrap();
        assert_eq!(source(&gateway), "first");
        catalogs.apply(CHANGED.to_owned(), false).await.unwrap();
        assert!(catalogs.prepare_file(&file, ()).await.unwrap().is_none());
        gateway.stop(patience).await;

        std::fs::write(&file, CONFIGURED).unwrap();
        let gateway = Gateway::start(configured(dir.path())).await.unwrap();
        assert_eq!(source(&gateway), "first", "edited while it was stopped");
        gateway.stop(patience).await;
    }

    /// Whatever fails after the store has it: destinations that are refused, a journal that stops.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_change_that_got_no_further_than_the_store_is_put_in_force_when_applied_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            data_dir: dir.path().to_owned(),
            ..Settings::default()
        };
        settings.edge.http.set_port(0);
        settings.admin.listen.set_port(0);
        let launch = Launch {
            settings,
            ..Launch::default()
        };
        let gateway = Gateway::start(launch).await.unwrap();
        let catalogs = &gateway.catalogs;
        let file = dir.path().join("catalog.toml");
        std::fs::write(&file, CHANGED).unwrap();
        let document = Document::parse("catalog", CHANGED);
        let now = catalogs.clock.now();
        let stored = catalogs.store.apply(&document, None, now).unwrap();
        assert_ne!(catalogs.core.generation(), stored.generation);

        assert!(catalogs.prepare_file(&file, ()).await.unwrap().is_some());
        let applied = catalogs.apply(CHANGED.to_owned(), false).await.unwrap();
        assert_eq!(applied.generation, stored.generation);
        assert_eq!(catalogs.core.generation(), stored.generation);
        assert!(catalogs.prepare_file(&file, ()).await.unwrap().is_none());
        let patience = Patience::of(&gateway.settings().drain);
        gateway.stop(patience).await;
    }
}
