//! `[identity]`: which identifiers name a visitor.

use super::declare::When::Live;
use super::declare::{key, section};
use super::kind::{Kind, list};
use crate::document::{Found, Reason};

/// Values in `identity.placeholders`.
const PLACEHOLDERS_MAX: usize = 10_000;

section! {
    /// `[identity]`
    pub struct Identity {
        /// Values of `userId`, `anonymousId`, `previousId` and `messageId` that name no visitor and
        /// are dropped, in addition to the built-in ones (`null`, `guest`, zeros, ...); at most
        /// 10,000. Case is ignored.
        placeholders: Vec<String> = Vec::new()
            => key("identity.placeholders", Live, placeholders()),
    }
}

fn placeholders() -> Kind<Vec<String>> {
    Kind::new(
        |at| {
            let found = at.get()?;
            let list = found.list()?;
            if list.len() > PLACEHOLDERS_MAX {
                found.fault(Reason::Range {
                    given: format!("{} values", list.len()),
                    least: "0".to_owned(),
                    most: PLACEHOLDERS_MAX.to_string(),
                });
                return None;
            }
            Some(list.iter().filter_map(Found::text).collect())
        },
        |texts: &Vec<String>| list(texts.iter()),
    )
}
