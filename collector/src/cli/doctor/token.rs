//! The file of `admin.token_file`: whether it holds a token, and who else may read it.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::finding::Finding;
use crate::admin::auth::{HASH, Token, is_plain};

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
    let mode = std::fs::metadata(path).map_or(0, |found| found.mode());
    Some(judge(!is_plain(path), mode))
}

/// Says whether others could learn the token from the file.
pub fn judge(hashed: bool, mode: u32) -> Finding {
    if hashed {
        return Finding::ok(CHECK, "the file keeps its digest only");
    }
    let found = if mode & WORLD_READABLE != 0 {
        "the file holds the token itself, and every user of this machine may read it"
    } else {
        "the file holds the token itself: who reads it, or a backup of it, has it"
    };
    Finding::warn(CHECK, found, HASH)
}
