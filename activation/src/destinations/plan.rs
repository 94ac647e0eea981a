//! A destination's configuration, checked and ready to use.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tidegate_event::Timestamp;

use super::target::{Target, TooLarge};
use crate::error::{ConfigError, ConfigErrorKind};
use crate::intent::{Intent, Row};
use crate::retry::{Answer, Verdict, judge};
use crate::settings::{DestinationConfig, Limits, Network, RetryPolicy};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    /// The word for its kind.
    pub(crate) kind: &'static str,
    target: Arc<dyn Target>,
    pub(crate) segments: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) retry: RetryPolicy,
    pub(crate) linger_ms: i64,
    pub(crate) enabled: bool,
}

impl Plan {
    /// The same, with nothing queued and nothing sent.
    pub(crate) fn disabled(&self) -> Self {
        Self {
            enabled: false,
            ..self.clone()
        }
    }

    /// The id of a change at this destination, see [`Target::delivery_id`].
    pub(crate) fn delivery_id(&self, intent: &Intent) -> String {
        self.target.delivery_id(&self.name, intent)
    }

    /// The request of one attempt at `now`.
    pub(crate) fn request(
        &self,
        row: &Row,
        now: Timestamp,
    ) -> Result<Request<Full<Bytes>>, TooLarge> {
        self.target.request(&self.name, &row.intent, now)
    }

    /// A request that a receiver can tell from a real change.
    pub(crate) fn test_request(&self, now: Timestamp) -> Request<Full<Bytes>> {
        self.target.test_request(&self.name, now)
    }

    /// Judges one answer, which came at `now`.
    pub(crate) fn judge(&self, answer: Answer, now: Timestamp) -> Verdict {
        judge(answer, now, |status, not_before| {
            self.target.judge(status, not_before)
        })
    }

    /// Method, URL without its query, and body, for people; never a secret or a signature.
    pub(crate) fn redacted(&self, intent: &Intent) -> (&'static str, String, String) {
        self.target.redacted(&self.name, intent)
    }

    /// Changes when the destination becomes another one in all but name.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.target.fingerprint()
    }
}

/// Checks a whole list of destinations.
///
/// # Errors
/// Every invalid value of every destination, in order.
pub(crate) fn plans(
    configs: &[DestinationConfig],
    allow_private: &[Network],
) -> Result<Vec<Plan>, Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut names = HashSet::new();
    let mut plans = Vec::with_capacity(configs.len());
    for config in configs {
        let mut kinds = common_errors(config);
        if !names.insert(&config.name) {
            kinds.push(ConfigErrorKind::DuplicateName);
        }
        match config.kind.target(allow_private) {
            Ok(target) if kinds.is_empty() => plans.push(plan(config, target)),
            Ok(_) => {}
            Err(more) => kinds.extend(more.into_iter().map(ConfigErrorKind::Key)),
        }
        let error = |kind| ConfigError {
            name: config.name.clone(),
            kind,
        };
        errors.extend(kinds.into_iter().map(error));
    }
    if errors.is_empty() {
        Ok(plans)
    } else {
        Err(errors)
    }
}

fn common_errors(config: &DestinationConfig) -> Vec<ConfigErrorKind> {
    let mut kinds = Vec::new();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if config.name.is_empty() || config.name.len() > 64 || !config.name.bytes().all(fits) {
        kinds.push(ConfigErrorKind::Name);
    }
    let limits = &config.limits;
    if limits.rps == 0 || limits.concurrency == 0 || limits.timeout_ms == 0 {
        kinds.push(ConfigErrorKind::ZeroLimit);
    }
    kinds
}

fn plan(config: &DestinationConfig, target: Arc<dyn Target>) -> Plan {
    Plan {
        name: config.name.clone(),
        kind: config.kind.name(),
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
    use super::super::stub;
    use super::*;

    fn config(name: &str, endpoint: &str, token: &str) -> DestinationConfig {
        DestinationConfig::new(name, stub::kind(endpoint, token), &["buyers"])
    }

    #[test]
    fn all_errors_of_all_destinations_come_at_once() {
        let mut bad = config("with space", "nowhere", "short");
        bad.limits.rps = 0;
        let good = config("ads", "https://ads.example/", "a-long-token");
        let errors = plans(&[bad, good.clone(), good], &[]).unwrap_err();
        let kinds: Vec<_> = errors.iter().map(|error| error.kind).collect();
        assert_eq!(
            kinds,
            [
                ConfigErrorKind::Name,
                ConfigErrorKind::ZeroLimit,
                ConfigErrorKind::Key(stub::NOT_HTTPS),
                ConfigErrorKind::Key(stub::TOKEN_TOO_SHORT),
                ConfigErrorKind::DuplicateName,
            ]
        );
    }
}
