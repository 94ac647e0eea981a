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
use crate::catalog::check;
use crate::catalog::store::{ApplyError, Current, Prepared, Store, StoreError};
use crate::clock::Clock;
use crate::core::Core;
use crate::core::rules::Rules;
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
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store: Arc::new(store),
            core,
            activation,
            sources,
            allow_private,
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

    /// Checks and compiles the catalog of a file; None where it was the last one applied and is in
    /// force.
    pub(super) async fn prepare_file(&self, path: &Path) -> Result<Option<Ready<'_>>, FileRefused> {
        let (store, path) = (Arc::clone(&self.store), path.to_owned());
        let read = move || -> Result<_, FileRefused> {
            let document = load::document(&path)?;
            let last = store.is_last_applied(document.text());
            let last = last.map_err(|error| failed(&error))?;
            let current = store.current().map_err(|error| failed(&error))?;
            Ok((document, last.then_some(current.generation)))
        };
        let (document, applied) = blocking(read).await??;
        // It is not in force where the last change got no further than into the store.
        if applied == Some(self.core.generation()) {
            return Ok(None);
        }
        Ok(Some(self.prepare_document(document).await?))
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
        let activation = self.activation.clone();
        let commit = move || {
            store.commit(&prepared, now).map_err(refused)?;
            if changes {
                // Before the rules: the first change that they decide finds its destination.
                let configs = check::configs(&prepared.catalog.destinations);
                let set = activation.set_destinations(&configs);
                set.map_err(|error| failed(&error))?;
            }
            Ok::<_, ApplyRefused>(prepared)
        };
        let prepared = blocking(commit).await??;
        if let Some(room) = room {
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

        assert!(catalogs.prepare_file(&file).await.unwrap().is_some());
        let applied = catalogs.apply(CHANGED.to_owned(), false).await.unwrap();
        assert_eq!(applied.generation, stored.generation);
        assert_eq!(catalogs.core.generation(), stored.generation);
        assert!(catalogs.prepare_file(&file).await.unwrap().is_none());
        let patience = Patience::of(&gateway.settings().drain);
        gateway.stop(patience).await;
    }
}
