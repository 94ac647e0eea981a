//! Keys that kinds called over HTTP have in common: how fast and how many at once. A kind declares
//! those that it has.

use super::declaration::{Form, Key};
use super::kind::DestinationKind;
use crate::settings::Limits;

pub(super) const RPS: Key = Key {
    name: "rps",
    stored: "rps",
    form: Form::Number {
        range: 1..=100_000,
        default: 1_000,
    },
    documentation: "Requests a second, at most.",
};

pub(super) const CONCURRENCY: Key = Key {
    name: "concurrency",
    stored: "concurrency",
    form: Form::Number {
        range: 1..=1_024,
        default: 64,
    },
    documentation: "Requests at once, at most.",
};

pub(super) const TIMEOUT: Key = Key {
    name: "timeout",
    stored: "timeout_ms",
    form: Form::Duration {
        range: 100..=60_000,
        default: 15_000,
    },
    documentation: "How long one request may take.",
};

/// The limits that a kind's values say, with defaults for those that it does not declare.
pub(super) fn limits(kind: &DestinationKind) -> Limits {
    let mut limits = Limits::default();
    if let Some(rps) = kind.number(RPS.name) {
        limits.rps = u32::try_from(rps).unwrap_or(u32::MAX);
    }
    if let Some(concurrency) = kind.number(CONCURRENCY.name) {
        limits.concurrency = usize::try_from(concurrency).unwrap_or(usize::MAX);
    }
    if let Some(timeout_ms) = kind.number(TIMEOUT.name) {
        limits.timeout_ms = timeout_ms;
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::super::{stub, webhook};
    use super::*;

    #[test]
    fn limits_are_those_declared_and_else_the_defaults() {
        let mut kind = webhook::kind("https://x.example/", "whsec_a");
        assert_eq!(limits(&kind), Limits::default());
        for (key, number) in [("rps", 7), ("concurrency", 3), ("timeout", 500)] {
            kind.set(key, number);
        }
        let given = Limits {
            rps: 7,
            concurrency: 3,
            timeout_ms: 500,
        };
        assert_eq!(limits(&kind), given);
        let declares_no_rate = stub::kind("https://x.example/", "token");
        assert_eq!(limits(&declares_no_rate).rps, Limits::default().rps);
    }
}
