//! Every key, and the documents written from them: the reference and the example file. Tests hold
//! the list against what [`super::file`] really reads.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::Settings;
use super::declare::{Key, Part as _};
use crate::document::reader::variable_of;

/// The list, in the order of the example file; a section's keys stand together.
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let mut keys = Vec::new();
    Settings::describe(&mut keys);
    keys
});

/// `deploy/tidegate.example.toml`: every key with its default; keys without one, and the whole of
/// `[kafka]`, in comments.
#[must_use]
pub fn example() -> String {
    let mut out = String::from(
        "# Tidegate's settings, each with its default. Written from the code: see docs/config.md.\n\
         # A line that begins with \"#\" and a key shows a setting that is unset by default.\n",
    );
    let mut section = "";
    for key in KEYS.iter() {
        let (own, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        // [kafka] turns forwarding on by being there at all.
        let off = own == "kafka" || own == "geoip";
        if own != section {
            section = own;
            let _ = write!(out, "\n{}[{own}]\n", if off { "#" } else { "" });
        }
        let _ = match &key.default {
            Some(default) if !off => writeln!(out, "{name} = {default}"),
            Some(_) | None => writeln!(out, "#{name} = {}", key.sample),
        };
    }
    out
}

/// `docs/config.md`.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut section = None;
    for key in KEYS.iter() {
        let own = key.path.split_once('.').map_or("", |(own, _)| own);
        if section != Some(own) {
            section = Some(own);
            let title = if own.is_empty() {
                "Top level".to_owned()
            } else {
                format!("`[{own}]`")
            };
            let _ = write!(
                out,
                "\n## {title}\n\n| key | default | change | what it does |\n|---|---|---|---|\n"
            );
        }
        row(&mut out, key);
    }
    out
}

fn row(out: &mut String, key: &Key) {
    let default = key.default.as_ref().map_or_else(
        || format!("unset, as in `{}`", key.sample),
        |default| format!("`{default}`"),
    );
    let when = key.when.as_str();
    let _ = writeln!(out, "| `{}` | {default} | {when} | {} |", key.path, key.doc);
}

const INTRODUCTION: &str = "\
# Settings

`tidegate serve --config tidegate.toml` reads one TOML file. Without a file, the defaults below apply.
`tidegate check tidegate.toml catalog.toml` reads files as the gateway would and prints every error
with its line and column.

- A key that is in none of these tables is an error, so a misspelt key is never silently a default.
- A length of time is a whole number with `ms`, `s`, `m`, `h` or `d`: `\"30m\"`. A size is a whole
  number with `B`, `KiB`, `MiB`, `GiB` or `TiB`: `\"10GiB\"`.
- Relative paths start from the folder of the file.
- An environment variable overrides the file: `TIDEGATE__EDGE__HTTP` is `edge.http`. Write its value
  without quotes, and separate the entries of a list by commas. A variable that begins with
  `TIDEGATE__` and overrides no key is an error. `TIDEGATE__KAFKA__PROPERTIES__SECURITY_PROTOCOL` is
  the producer property `security.protocol`.
- The column \"change\" says when a changed key takes effect: `live` on reload, `restart` with the next
  start. SIGHUP, `tidegate reload` and `POST /admin/v1/reload` reload; a changed file is reloaded by
  itself. With any error in a file nothing changes. The result names what changed and what waits for
  a restart.
- `TIDEGATE_LOG` (or `--log`) sets what is logged: `info` by default, `debug`, or by module as in
  `info,tidegate_collector::edge=debug`.

This page is written from the code; a test fails when they differ.
";

/// The variable that overrides `key`.
#[must_use]
pub fn variable(key: &Key) -> String {
    variable_of(key.path)
}
