//! The keys of a webhook's catalog entry.

use super::caution::cautions;
use super::check::check;
use crate::destinations::limits::{CONCURRENCY, RPS, TIMEOUT};
use crate::destinations::{Declaration, DestinationKind, Form, Key, Value};
use crate::settings::Secret;

pub(super) const URL: &str = "url";
pub(super) const SECRET: &str = "secret";

/// See the module.
pub static DECLARATION: Declaration = Declaration {
    name: "webhook",
    example: "kind = \"webhook\"",
    documentation: "signed HTTP requests, see [webhooks](webhooks.md).",
    keys: &KEYS,
    check,
    cautions,
};

static KEYS: [Key; 5] = [
    Key {
        name: URL,
        stored: "url",
        form: Form::Text {
            example: "url = \"https://ads.example.com/hook\"",
        },
        documentation: "`http://` or `https://`. Private addresses only where \
                        `activation.allow_private` lists them.",
    },
    Key {
        name: SECRET,
        stored: "secret",
        form: Form::Secrets {
            most: 4,
            further: "further_secrets",
            example: "secret = \"whsec_...\"",
            count: "is not a Standard Webhooks secret: a list of them holds 1 to 4; write one made \
                    by: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"",
        },
        documentation: "`whsec_` and the base64 of 24 to 64 bytes. Never shown again. To rotate it, \
                        a list of up to 4, such as `[\"NEW\", \"OLD\"]`: each request carries a \
                        signature by each, so a receiver with either accepts. Remove the old one \
                        once the receiver has the new one.",
    },
    RPS,
    CONCURRENCY,
    TIMEOUT,
];

/// A webhook with one secret and default limits.
///
/// # Panics
/// Never: each key that has no default is given.
#[must_use]
pub fn kind(url: &str, secret: &str) -> DestinationKind {
    let value = |key: &'static Key| match &key.form {
        Form::Text { .. } => Some(Value::from(url)),
        Form::Secrets { .. } => Some(Value::Secrets(vec![Secret::new(secret)])),
        Form::Number { default, .. } | Form::Duration { default, .. } => {
            Some(Value::Number(*default))
        }
    };
    DestinationKind::read(&DECLARATION, value).expect("each key has a value")
}
