//! The keys of a stub's catalog entry and their checks.

use std::sync::Arc;

use super::target::Stub;
use crate::destinations::limits::TIMEOUT;
use crate::destinations::target::Target;
use crate::destinations::{Caution, Declaration, DestinationKind, Form, Key, KeyError, Value};
use crate::settings::{Network, Secret};

const ENDPOINT: &str = "endpoint";
const TOKEN: &str = "token";

/// See the module.
pub static DECLARATION: Declaration = Declaration {
    name: "stub",
    example: "kind = \"stub\"",
    documentation: "for tests.",
    keys: &KEYS,
    check,
    cautions,
};

static KEYS: [Key; 3] = [
    Key {
        name: ENDPOINT,
        stored: "endpoint",
        form: Form::Text {
            example: "endpoint = \"https://stub.example\"",
        },
        documentation: "Where memberships are put.",
    },
    Key {
        name: TOKEN,
        stored: "token",
        form: Form::Secrets {
            most: 1,
            further: "further_tokens",
            example: "token = \"...\"",
            count: "is one token",
        },
        documentation: "Authorises each request.",
    },
    TIMEOUT,
];

/// The endpoint is no https URL.
pub const NOT_HTTPS: KeyError = KeyError {
    key: ENDPOINT,
    at: 0,
    message: "is not an https URL",
};

/// The token has fewer than 8 characters.
pub const TOKEN_TOO_SHORT: KeyError = KeyError {
    key: TOKEN,
    at: 0,
    message: "is shorter than 8 characters",
};

fn check(
    kind: &DestinationKind,
    _allow_private: Option<&[Network]>,
) -> Result<Arc<dyn Target>, Vec<KeyError>> {
    let endpoint = kind.text(ENDPOINT);
    let token = kind.secrets(TOKEN).first().map_or("", Secret::expose);
    let mut errors = Vec::new();
    if !endpoint.starts_with("https://") {
        errors.push(NOT_HTTPS);
    }
    if token.len() < 8 {
        errors.push(TOKEN_TOO_SHORT);
    }
    if errors.is_empty() {
        Ok(Arc::new(Stub::new(endpoint, token)))
    } else {
        Err(errors)
    }
}

fn cautions(kind: &DestinationKind) -> Vec<Caution> {
    let is_published = kind.text(ENDPOINT).contains("published");
    let caution = Caution {
        key: ENDPOINT,
        danger: "it is published",
        remedy: "write another",
    };
    is_published.then_some(caution).into_iter().collect()
}

/// A stub with the default time-out.
///
/// # Panics
/// Never: each key has a value.
#[must_use]
pub fn kind(endpoint: &str, token: &str) -> DestinationKind {
    let value = |key: &'static Key| match key.name {
        ENDPOINT => Some(Value::from(endpoint)),
        TOKEN => Some(Value::Secrets(vec![Secret::new(token)])),
        _ => Some(Value::Number(15_000)),
    };
    DestinationKind::read(&DECLARATION, value).expect("each key has a value")
}
