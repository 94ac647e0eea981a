//! One folder for each kind of destination: checks its settings, renders its requests. No I/O.

pub mod webhook;

use std::collections::HashSet;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tidegate_event::Timestamp;

use crate::error::{ConfigFault, ConfigFaultKind};
use crate::intent::{Intent, Row};
use crate::retry::{Answer, Verdict, judge};
use crate::settings::{DestinationConfig, DestinationKind, Limits, Network, RetryPolicy};

/// A destination's configuration, checked and ready to use.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) segments: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) retry: RetryPolicy,
    pub(crate) linger_ms: i64,
    pub(crate) enabled: bool,
}

/// How a destination is called, by kind.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Webhook(webhook::Target),
}

/// The body would be larger than the destination takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rendered body is too large")]
pub(crate) struct TooLarge;

impl Plan {
    /// The request of one attempt at `now`.
    pub(crate) fn request(
        &self,
        row: &Row,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, TooLarge> {
        match &self.target {
            Target::Webhook(target) => target.request(&self.name, &row.intent, now),
        }
    }

    /// A request that a receiver can tell from a real change.
    pub(crate) fn test_request(&self, now: Timestamp) -> Request<Full<Bytes>> {
        match &self.target {
            Target::Webhook(target) => target.test_request(&self.name, now),
        }
    }

    /// Method, URL without its query, and body, for people; never a secret or a signature.
    pub(crate) fn redacted(&self, intent: &Intent) -> (&'static str, String, String) {
        match &self.target {
            Target::Webhook(target) => target.redacted(&self.name, intent),
        }
    }

    /// Judges one answer, which came at `now`.
    pub(crate) fn judge(&self, answer: Answer, now: Timestamp) -> Verdict {
        judge(answer, now, |code, not_before| match &self.target {
            Target::Webhook(_) => webhook::judge(code, not_before),
        })
    }

    /// Changes when the destination becomes another one in all but name.
    pub(crate) fn fingerprint(&self) -> u64 {
        match &self.target {
            Target::Webhook(target) => target.fingerprint(),
        }
    }
}

/// Checks a whole list of destinations.
///
/// # Errors
/// Every fault of every destination, in order.
pub fn check(
    configs: &[DestinationConfig],
    allow_private: &[Network],
) -> Result<(), Vec<ConfigFault>> {
    plans(configs, allow_private).map(|_| ())
}

pub(crate) fn plans(
    configs: &[DestinationConfig],
    allow_private: &[Network],
) -> Result<Vec<Plan>, Vec<ConfigFault>> {
    let mut faults = Vec::new();
    let mut names = HashSet::new();
    let mut plans = Vec::with_capacity(configs.len());
    for config in configs {
        let mut kinds = common_faults(config);
        if !names.insert(&config.name) {
            kinds.push(ConfigFaultKind::DuplicateName);
        }
        match target(config, allow_private) {
            Ok(target) if kinds.is_empty() => plans.push(plan(config, target)),
            Ok(_) => {}
            Err(more) => kinds.extend(more),
        }
        let fault = |kind| ConfigFault {
            name: config.name.clone(),
            kind,
        };
        faults.extend(kinds.into_iter().map(fault));
    }
    if faults.is_empty() {
        Ok(plans)
    } else {
        Err(faults)
    }
}

fn common_faults(config: &DestinationConfig) -> Vec<ConfigFaultKind> {
    let mut kinds = Vec::new();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if config.name.is_empty() || config.name.len() > 64 || !config.name.bytes().all(fits) {
        kinds.push(ConfigFaultKind::Name);
    }
    let limits = &config.limits;
    if limits.rps == 0 || limits.concurrency == 0 || limits.timeout_ms == 0 {
        kinds.push(ConfigFaultKind::ZeroLimit);
    }
    kinds
}

fn target(
    config: &DestinationConfig,
    allow_private: &[Network],
) -> Result<Target, Vec<ConfigFaultKind>> {
    match &config.kind {
        DestinationKind::Webhook { url, secrets } => {
            webhook::Target::check(url, secrets, allow_private).map(Target::Webhook)
        }
    }
}

fn plan(config: &DestinationConfig, target: Target) -> Plan {
    Plan {
        name: config.name.clone(),
        target,
        segments: config.segments.clone(),
        limits: config.limits.clone(),
        retry: config.retry.clone(),
        linger_ms: i64::try_from(config.linger_ms).unwrap_or(i64::MAX),
        enabled: config.enabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Secret;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn kinds(config: DestinationConfig) -> Vec<ConfigFaultKind> {
        match check(&[config], &[]) {
            Ok(()) => Vec::new(),
            Err(faults) => faults.into_iter().map(|fault| fault.kind).collect(),
        }
    }

    fn with_url(url: &str) -> DestinationConfig {
        DestinationConfig::webhook("ads", url, SECRET, &["buyers"])
    }

    #[test]
    fn urls_that_cannot_work_are_refused_before_the_first_callback() {
        assert_eq!(kinds(with_url("https://ads.example/hook?v=1")), []);
        for (url, kind) in [
            ("", ConfigFaultKind::Url),
            ("/hook", ConfigFaultKind::Url),
            ("ftp://ads.example/", ConfigFaultKind::Url),
            ("https://u:p@ads.example/", ConfigFaultKind::UserInfo),
            ("http://127.0.0.1/", ConfigFaultKind::PrivateAddress),
            ("http://[::1]:80/", ConfigFaultKind::PrivateAddress),
            (
                "http://169.254.169.254/latest",
                ConfigFaultKind::PrivateAddress,
            ),
        ] {
            assert_eq!(kinds(with_url(url)), [kind], "{url}");
        }
    }

    #[test]
    fn an_allowed_private_address_is_accepted() {
        let allow = ["127.0.0.1".parse().unwrap()];
        assert_eq!(check(&[with_url("http://127.0.0.1:9/")], &allow), Ok(()));
    }

    #[test]
    fn all_faults_of_all_destinations_come_at_once() {
        let mut bad = with_url("nowhere");
        bad.name = "with space".to_owned();
        bad.limits.rps = 0;
        bad.kind = DestinationKind::Webhook {
            url: "nowhere".to_owned(),
            secrets: vec![Secret::new("short")],
        };
        let good = with_url("https://ads.example/");
        let faults = check(&[bad, good.clone(), good], &[]).unwrap_err();
        let kinds: Vec<_> = faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(
            kinds,
            [
                ConfigFaultKind::Name,
                ConfigFaultKind::ZeroLimit,
                ConfigFaultKind::Url,
                ConfigFaultKind::Secret,
                ConfigFaultKind::DuplicateName,
            ]
        );
    }
}
