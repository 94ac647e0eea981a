//! The catalog's canonical text and the digest that journal records name it by.

use sha2::{Digest as _, Sha256};

use super::Catalog;

/// JSON with the members in the order of the types; the same catalog gives the same bytes.
#[must_use]
pub fn text(catalog: &Catalog) -> String {
    // Strings, numbers, lists and enums only: nothing here can fail to serialise.
    serde_json::to_string(catalog).unwrap_or_default()
}

/// SHA-256 of `text`, hex.
#[must_use]
pub fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}
