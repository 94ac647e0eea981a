//! The file of `admin.token_file`: whether it holds a token, and who else may read it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::finding::Finding;
use crate::admin::TokenError;
use crate::admin::auth::{Token, read_token};

const CHECK: &str = "admin token";
/// Everyone on the machine may read it.
const WORLD_READABLE: u32 = 0o004;

/// Reads it; None where none is set.
pub fn file(path: Option<&Path>) -> Option<Finding> {
    let path = path?;
    if let Err(error) = Token::load(path) {
        let text = error.to_string();
        let (found, next) = text
            .split_once("; ")
            .unwrap_or((&text, "see docs/config.md"));
        return Some(Finding::fail(CHECK, found, next));
    }
    let hashed = matches!(read_token(path), Err(TokenError::Hashed { .. }));
    let mode = std::fs::metadata(path).map_or(0, |found| found.mode());
    Some(judge(hashed, mode))
}

/// Says whether others could learn the token from the file.
pub fn judge(hashed: bool, mode: u32) -> Finding {
    if hashed {
        Finding::ok(CHECK, "the file keeps its digest only")
    } else if mode & WORLD_READABLE != 0 {
        Finding::warn(
            CHECK,
            "the file holds the token itself, and every user of this machine may read it",
            "chmod 0600, or keep only its digest: sha256: and the SHA-256 in hex",
        )
    } else {
        Finding::ok(CHECK, "the file is kept from other users")
    }
}
