//! Identifiers that identify no one: what clients send where a value is missing. Taken for keys they
//! would merge strangers, and a merge is hard to undo.

use std::collections::HashSet;

use super::kinds::Kind;

/// The values of every tenant, and those that the settings add.
#[derive(Clone, Debug, Default)]
pub struct Placeholders {
    /// Trimmed, in lower case.
    own: HashSet<String>,
}

impl Placeholders {
    /// With the settings' own values; case and blanks around them do not count.
    #[must_use]
    pub fn new(own: &[String]) -> Self {
        Self {
            own: own.iter().map(|id| id.trim().to_lowercase()).collect(),
        }
    }

    /// Whether `id` stands for a missing value.
    #[must_use]
    pub fn holds(&self, id: &str) -> bool {
        is_placeholder(id) || self.adds(id)
    }

    /// Whether `id` names no one as an identifier of this kind.
    pub(super) fn block(&self, kind: &Kind, id: &str) -> bool {
        (kind.is_blocked)(id) || self.adds(id)
    }

    fn adds(&self, id: &str) -> bool {
        !self.own.is_empty() && self.own.contains(&id.trim().to_lowercase())
    }
}

/// Longest of the words below, with what may stand around it.
const WORD_BYTES_MAX: usize = 32;

/// Compared in lower case, letters and digits only: `(not set)`, `[object Object]` and `<nil>` are
/// among them.
const WORDS: [&str; 28] = [
    "anonymous",
    "anonymoususer",
    "false",
    "guest",
    "guestuser",
    "loggedout",
    "nan",
    "nil",
    "none",
    "notapplicable",
    "notauthenticated",
    "notavailable",
    "notloggedin",
    "notset",
    "null",
    "objectnull",
    "objectobject",
    "objectundefined",
    "true",
    "unauthenticated",
    "undefined",
    "unidentified",
    "unknown",
    "unknownuser",
    "unset",
    // The id that many Android 2.2 devices share.
    "9774d56d682e549c",
    "invaliduser",
    "systemobject",
];

/// Marks of a template that was not filled in.
const TEMPLATES: [(&str, &str); 5] = [
    ("{{", "}}"),
    ("${", "}"),
    ("<%", "%>"),
    ("{%", "%}"),
    ("%%", "%%"),
];

/// Whether `id` stands for a missing value in every tenant's data: nothing but `0`, `-` and other
/// punctuation, a UUID of one repeated `0` or `f`, a word for "none", or an unfilled template.
#[must_use]
pub fn is_placeholder(id: &str) -> bool {
    let id = id.trim();
    let plain = |byte: u8| !byte.is_ascii_alphanumeric() && byte.is_ascii();
    id.bytes().all(|byte| byte == b'0' || plain(byte))
        || id == "-1"
        || id.eq_ignore_ascii_case("n/a")
        || is_all_ones(id)
        || is_word(id)
        || is_template(id)
}

/// 32 times `f`, with or without hyphens and braces.
fn is_all_ones(id: &str) -> bool {
    let mut ones = 0;
    for byte in id.bytes() {
        match byte {
            b'f' | b'F' => ones += 1,
            b'-' | b'{' | b'}' => {}
            _ => return false,
        }
    }
    ones == 32
}

fn is_word(id: &str) -> bool {
    if id.len() > WORD_BYTES_MAX || !id.is_ascii() {
        return false;
    }
    WORDS.iter().any(|word| {
        let letters = id.bytes().filter(u8::is_ascii_alphanumeric);
        letters
            .map(|byte| byte.to_ascii_lowercase())
            .eq(word.bytes())
    })
}

fn is_template(id: &str) -> bool {
    TEMPLATES.iter().any(|(open, close)| {
        id.split_once(open)
            .is_some_and(|(_, rest)| rest.contains(close))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::kinds::ANONYMOUS_ID;

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn placeholders_name_no_one() {
        for id in [
            "",
            " ",
            "0",
            "000",
            "0-0",
            "-",
            "-1",
            "0.0",
            "[]",
            "{}",
            "\"\"",
            "00000000-0000-0000-0000-000000000000",
            "{00000000-0000-0000-0000-000000000000}",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
            "null",
            "NULL",
            "(null)",
            "<nil>",
            "\"null\"",
            "undefined",
            "Anonymous",
            " none ",
            "NaN",
            "true",
            "False",
            "guest",
            "not_authenticated",
            "Not logged in",
            "[object Object]",
            "(not set)",
            "n/a",
            "{{user.id}}",
            "user-{{ id }}",
            "${user.id}",
            "<%= user.id %>",
            "%%USER_ID%%",
            "9774d56d682e549c",
        ] {
            assert!(is_placeholder(id), "{id:?}");
        }
        for id in [
            "1",
            "00-1",
            "a",
            "f",
            "ff",
            "nullable",
            "anonymous-1",
            "guest-17",
            "10",
            "-2",
            "trueman",
            "ümlaut",
            "李",
            "a{b}",
            "100%",
            "00112233445566778899aabbccddeeff",
        ] {
            assert!(!is_placeholder(id), "{id:?}");
        }
    }

    #[test]
    fn a_kind_blocks_values_of_its_own() {
        let card = Kind {
            is_blocked: |id| id == "4111",
            ..ANONYMOUS_ID
        };
        let own = Placeholders::new(&["gast".to_owned()]);
        assert!(own.block(&card, "4111") && own.block(&card, "gast"));
        assert!(!own.block(&card, "null"));
        assert!(own.block(&ANONYMOUS_ID, "null") && !own.block(&ANONYMOUS_ID, "4111"));
    }

    #[test]
    fn a_tenant_adds_its_own() {
        let own = Placeholders::new(&["Gast ".to_owned(), "user@example.com".to_owned()]);
        for id in ["gast", " GAST", "User@Example.com", "null"] {
            assert!(own.holds(id), "{id}");
        }
        assert!(!own.holds("gast-1"));
        assert!(!Placeholders::default().holds("gast"));
    }
}
