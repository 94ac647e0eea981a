//! A certificate from an authority that speaks ACME (RFC 8555), proven by TLS-ALPN-01 (RFC 8737) on
//! our own listener: ordered where there is none, renewed in time, kept below the data directory,
//! handed to [`Certificates`] like a changed file. One order at a time; failures make it wait.
//!
//! The protocol itself is the crate `instant-acme`'s.

mod error;
mod schedule;
mod kept;
mod challenges;
mod client;
mod order;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{Account, NewAccount};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

pub(in crate::edge) use challenges::ALPN;
pub(super) use challenges::{Challenges, is_asked_by};
pub(super) use client::roots;
pub use error::AcmeError;

use super::certificates::{self, Certificates};
use super::metrics::TlsMetrics;
use crate::clock::Clock;
use crate::liveness::spawn::blocking;
use crate::settings::{self, CertificateFiles};
use client::AuthorityClient;
use kept::{Failures, Kept};

/// A whole order, from its first request to the chain.
const ORDER_MAX: Duration = Duration::from_secs(5 * 60);
/// The longest sleep: a clock that was set meanwhile is noticed by then.
const SLEEP_MAX_MS: i64 = 60 * 60_000;

/// Gets the certificate and keeps it fresh.
pub struct Acme {
    settings: settings::Acme,
    kept: Kept,
    client: AuthorityClient,
    challenges: Arc<Challenges>,
    certificates: Arc<Certificates>,
    /// From 0 to 1, so that not every gateway orders in the same minute.
    jitter: f64,
    clock: Arc<dyn Clock>,
    metrics: TlsMetrics,
}

impl std::fmt::Debug for Acme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acme")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Where the certificate of `settings` stands once it is obtained; None where ACME is off.
#[must_use]
pub fn obtained(settings: &settings::Acme, data_dir: &Path) -> Option<CertificateFiles> {
    let on = !settings.domains.is_empty();
    on.then(|| Kept::of(data_dir, &settings.directory).certificate())
}

impl Acme {
    /// Opens no connection yet. None where ACME is off.
    pub(super) fn open(
        settings: &settings::Acme,
        data_dir: &Path,
        certificates: Arc<Certificates>,
        clock: Arc<dyn Clock>,
        metrics: TlsMetrics,
    ) -> Result<Option<Self>, AcmeError> {
        if settings.domains.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            kept: Kept::of(data_dir, &settings.directory),
            client: AuthorityClient::new(settings.root.as_deref(), Arc::clone(&clock))?,
            settings: settings.clone(),
            challenges: Arc::default(),
            certificates,
            jitter: StdRng::from_os_rng().random(),
            clock,
            metrics,
        }))
    }

    pub(in crate::edge) const fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// Orders whenever it is time, for as long as it is polled.
    pub async fn run(self: Arc<Self>) {
        loop {
            let this = Arc::clone(&self);
            let due_ms = match blocking(move || this.due_ms()).await {
                Some(Ok(due_ms)) => due_ms,
                Some(Err(error)) => {
                    self.metrics.ordered(error.result());
                    tracing::error!(%error, "whether to order a certificate is not known, so none is");
                    self.clock.now().0.saturating_add(SLEEP_MAX_MS)
                }
                None => i64::MAX,
            };
            self.metrics.next_order(due_ms / 1_000);
            let wait_ms = due_ms.saturating_sub(self.clock.now().0);
            match u64::try_from(wait_ms.min(SLEEP_MAX_MS)) {
                Ok(wait_ms @ 1..) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                Ok(0) | Err(_) => self.order_once().await,
            }
        }
    }

    /// When to order next; an error where what is kept cannot be read.
    fn due_ms(&self) -> Result<i64, AcmeError> {
        let kept = self.kept.pair()?;
        let validity_s = kept.and_then(|pair| self.judge(&pair).ok());
        let renewal_ms = validity_s.map_or(0, |held| schedule::renewal_ms(held, self.jitter));
        Ok(renewal_ms.max(self.kept.failures()?.wait_until_ms))
    }

    /// From when to when `pair` holds; an error where it is not for what is configured.
    fn judge(&self, pair: &CertifiedKey) -> Result<(i64, i64), AcmeError> {
        let useless = |why: &str| AcmeError::Useless(why.to_owned());
        let own = pair.end_entity_cert().map_err(|_| useless("it is empty"))?;
        let parsed = ParsedCertificate::try_from(own)?;
        let missing = self.settings.domains.iter().find(|domain| {
            let name = ServerName::try_from(domain.as_str());
            !name.is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        });
        if let Some(domain) = missing {
            return Err(useless(&format!("it is not for {domain}")));
        }
        certificates::validity_s(own).ok_or_else(|| useless("its dates cannot be read"))
    }

    async fn order_once(self: &Arc<Self>) {
        let domains = self.settings.domains.join(",");
        tracing::info!(
            domains,
            directory = self.settings.directory,
            "ordering a certificate"
        );
        // What was asked before is over.
        let _ = self.client.take_asked_ms();
        let ordered = tokio::time::timeout(ORDER_MAX, self.order()).await;
        let ordered = match ordered.unwrap_or(Err(AcmeError::Timeout)) {
            Ok(pem) => {
                let this = Arc::clone(self);
                blocking(move || this.put(&pem))
                    .await
                    .unwrap_or(Err(AcmeError::Timeout))
            }
            Err(error) => Err(error),
        };
        match ordered {
            Ok(()) => {
                self.metrics.ordered("ok");
                tracing::info!(domains, "the new certificate is in use");
            }
            Err(error) => self.failed(&error).await,
        }
    }

    async fn order(self: &Arc<Self>) -> Result<String, AcmeError> {
        let account = self.account().await?;
        let ordered = order::obtain(&account, &self.settings.domains, &self.challenges).await;
        if ordered.as_ref().is_err_and(AcmeError::is_unknown_account) {
            self.kept.forget_account();
        }
        ordered
    }

    /// The account that is kept, else a new one.
    async fn account(self: &Arc<Self>) -> Result<Account, AcmeError> {
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        if let Some(credentials) = self.kept.account()? {
            return Ok(builder.from_credentials(credentials).await?);
        }
        let contacts = self.settings.contact.iter();
        let contacts: Vec<_> = contacts.map(|mail| format!("mailto:{mail}")).collect();
        let contacts: Vec<_> = contacts.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contacts,
            terms_of_service_agreed: self.settings.terms_agreed,
            only_return_existing: false,
        };
        let directory = self.settings.directory.clone();
        let (account, credentials) = builder.create(&new, directory, None).await?;
        self.kept.keep_account(&credentials)?;
        Ok(account)
    }

    /// Keeps a certificate that does what it is for, and takes it into use.
    fn put(&self, pem: &str) -> Result<(), AcmeError> {
        let pair = certificates::pair(&self.kept.certificate(), pem.as_bytes(), pem.as_bytes());
        let pair = pair.map_err(|error| AcmeError::Useless(error.to_string()))?;
        let validity_s = self.judge(&pair)?;
        // It would be ordered again at once, and for ever.
        if schedule::renewal_ms(validity_s, self.jitter) <= self.clock.now().0 {
            let why = "by this machine's clock it ends too soon: set the clock";
            return Err(AcmeError::Useless(why.to_owned()));
        }
        self.kept.keep_certificate(pem)?;
        let taken = self.certificates.take_obtained();
        taken.map_err(|error| AcmeError::Useless(error.to_string()))?;
        self.kept.keep_failures(Failures::default())
    }

    async fn failed(self: &Arc<Self>, error: &AcmeError) {
        self.metrics.ordered(error.result());
        let before = self.kept.failures().unwrap_or_default();
        let count = before.count.saturating_add(1);
        let asked_ms = self.client.take_asked_ms();
        let wait_ms = schedule::wait_ms(count, asked_ms, self.jitter);
        let failures = Failures {
            count,
            wait_until_ms: self.clock.now().0.saturating_add(wait_ms),
        };
        tracing::error!(
            %error,
            failures = count,
            wait_s = wait_ms / 1_000,
            file = %self.kept.failures_path().display(),
            "no certificate from the authority, what was in use stays; to try sooner, mend it, remove \
             the file and restart"
        );
        let this = Arc::clone(self);
        let kept = blocking(move || this.kept.keep_failures(failures)).await;
        if let Some(Err(error)) = kept {
            tracing::error!(%error, "the failure is not kept");
            // Then at least this process waits.
            let wait_ms = u64::try_from(wait_ms).unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        }
    }
}
