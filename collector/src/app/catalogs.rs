//! Catalog changes on a running gateway: checked and compiled first, then put in force part by
//! part; refused as a whole where anything is wrong.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate_activation::Activation;
use tokio::sync::MutexGuard;

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
        let document = load::document(path)?;
        let last = self.store.is_last_applied(document.text());
        if last.map_err(|error| failed(&error))? && self.is_in_force()? {
            return Ok(None);
        }
        let ready = self.prepare(document.name(), document.text()).await?;
        Ok(Some(ready))
    }

    /// False where the last change got no further than into the store.
    fn is_in_force(&self) -> Result<bool, ApplyRefused> {
        let current = self.store.current().map_err(|error| failed(&error))?;
        Ok(current.generation == self.core.generation())
    }

    async fn prepare(&self, name: &str, text: &str) -> Result<Ready<'_>, ApplyRefused> {
        let one = self.changing.lock().await;
        let document = Document::parse(name, text);
        let prepared = self
            .store
            .prepare(&document, Some(&self.allow_private))
            .map_err(refused)?;
        let (core, catalog) = (self.core.clone(), prepared.catalog.clone());
        let generation = prepared.applied.generation;
        let rules = tokio::task::spawn_blocking(move || core.prepare(&catalog, generation))
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        Ok(Ready {
            prepared,
            rules,
            changes: generation != self.core.generation(),
            _one: one,
        })
    }

    /// Puts a checked catalog in force.
    pub(super) async fn put(&self, ready: Ready<'_>) -> Result<Applied, ApplyRefused> {
        let Ready {
            prepared, rules, ..
        } = ready;
        let generation = prepared.applied.generation;
        self.store
            .commit(&prepared, self.clock.now())
            .map_err(refused)?;
        if ready.changes {
            // Before the rules: the first change that they decide finds its destination.
            let configs = check::configs(&prepared.catalog.destinations);
            let activation = self.activation.clone();
            tokio::task::spawn_blocking(move || activation.set_destinations(&configs))
                .await
                .map_err(|error| failed(&error))?
                .map_err(|error| failed(&error))?;
            let digest = &prepared.applied.digest;
            self.core
                .switch(rules, digest)
                .await
                .map_err(|error| failed(&error))?;
            if let Err(error) = self
                .store
                .mark_recorded(self.core.journal().id(), generation)
            {
                tracing::warn!(%error, "the next start writes this catalog's record again");
            }
            let sources = self.sources.load().followed_by(&prepared.catalog);
            self.sources.store(Arc::new(sources));
        }
        tracing::info!(generation, "catalog applied");
        Ok(prepared.applied)
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
