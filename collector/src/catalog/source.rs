//! `[[source]]` entries.

use std::collections::HashMap;
use std::num::NonZeroU32;

use toml_edit::Value;

use super::change::EntryKind;
use super::entry::{CatalogEntry, Entry, line, read_name};
use super::file::{Context, Entries};
use super::write::{list, text, value};
use super::{ConsentDefault, ConsentMap, ConsentMeaning, GpcPolicy, Source, SourceKind};
use crate::document::{Found, Place, Reader, Reason, Section};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// Ids in one `consent_map`.
const CONSENT_IDS_MAX: usize = 100;

impl CatalogEntry for Source {
    const KIND: EntryKind = EntryKind::Source;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(section: Section<'_>, names: &mut Vec<String>) -> Option<Entry<Self>> {
        read(section, names)
    }

    fn check(entries: &[Entry<Self>], _all: &Entries, _context: Context<'_>, reader: &Reader<'_>) {
        write_keys(entries, reader);
    }

    fn write(&self, out: &mut String) {
        write(self, out);
    }
}

fn read(section: Section<'_>, names: &mut Vec<String>) -> Option<Entry<Source>> {
    let name = read_name(&section, "name = \"shop\"", names);
    let write_key = section
        .require("write_key", "write_key = \"a-long-random-key\"")
        .and_then(|found| write_key(&found));
    let mut source = Source::web("", "");
    let kinds = [("web", SourceKind::Web), ("server", SourceKind::Server)];
    section.word("kind", &mut source.kind, &kinds);
    if let Some(list) = section.get("origins").and_then(|found| found.list()) {
        source.origins = list.iter().filter_map(origin).collect();
    }
    let gaps = 5 * MINUTE..=7 * HOUR + 55 * MINUTE;
    section.duration("session_gap", &mut source.session_gap_ms, gaps);
    let defaults = [
        ("granted", ConsentDefault::Granted),
        ("anonymous", ConsentDefault::Anonymous),
        ("denied", ConsentDefault::Denied),
    ];
    section.word("consent_default", &mut source.consent_default, &defaults);
    let policies = [
        ("anonymous", GpcPolicy::Anonymous),
        ("no-share", GpcPolicy::NoShare),
    ];
    section.word("gpc", &mut source.gpc, &policies);
    section.boolean("dnt", &mut source.dnt);
    if let Some(list) = section.get("conversions").and_then(|found| found.list()) {
        source.conversions = list.iter().filter_map(Found::words).collect();
    }
    if let Some(found) = section.get("rate_limit") {
        let limit = found.number(&(1..=100_000_000));
        source.rate_limit = limit.and_then(NonZeroU32::new);
    }
    source.consent_map = consent_map(&section.section("consent_map"));
    let path = section.path_of("");
    section.finish();
    let ((name, place), (write_key, key_place)) = (name?, write_key?);
    (source.name, source.write_key) = (name, write_key);
    Some(Entry {
        value: source,
        name: place,
        parts: vec![("write_key", key_place)],
        path,
        literal: None,
    })
}

/// Ids of a consent tool, with what each is about.
fn consent_map(section: &Section<'_>) -> ConsentMap {
    let meanings = [
        ("analytics", ConsentMeaning::Analytics),
        ("advertising", ConsentMeaning::Advertising),
        ("ignore", ConsentMeaning::Ignore),
    ];
    let ids = section.free_keys();
    if ids.len() > CONSENT_IDS_MAX {
        section.fault(
            "",
            Reason::Range {
                given: format!("{} ids", ids.len()),
                least: "0".to_owned(),
                most: CONSENT_IDS_MAX.to_string(),
            },
        );
        return ConsentMap::new();
    }
    ids.into_iter()
        .filter_map(|(id, found)| Some((id, found.word(&meanings)?)))
        .collect()
}

/// A write key travels as the user of Basic auth, so it has no colon.
fn write_key(found: &Found<'_>) -> Option<(String, Place)> {
    let key = found.text()?;
    let legal = |c: u8| c.is_ascii_graphic() && c != b':';
    if (1..=128).contains(&key.len()) && key.bytes().all(legal) {
        return Some((key, found.place().clone()));
    }
    found.fault(Reason::WriteKey);
    None
}

fn origin(found: &Found<'_>) -> Option<String> {
    let origin = found.text()?;
    if is_origin(&origin) {
        return Some(origin);
    }
    found.fault(Reason::Form {
        given: origin,
        form: "an origin as browsers send it (scheme, host in lower case, a port only where it is \
               not the scheme's own, nothing after it)",
        example: "\"https://www.example.com\"",
    });
    None
}

fn is_origin(origin: &str) -> bool {
    let (host, own_port) = match origin.split_once("://") {
        Some(("https", host)) => (host, "443"),
        Some(("http", host)) => (host, "80"),
        Some(_) | None => return false,
    };
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-_[]:".contains(&c);
    let port = host
        .rsplit_once(':')
        .filter(|(_, port)| !port.ends_with(']'));
    let name = port.map_or(host, |(name, _)| name);
    let bracketed = name.starts_with('[') && name.ends_with(']');
    !name.is_empty()
        && host.bytes().all(legal)
        && (bracketed || !name.contains([':', '[', ']']))
        && port.is_none_or(|(_, port)| port != own_port && port.parse::<u16>().is_ok_and(|p| p > 0))
}

fn write_keys(sources: &[Entry<Source>], reader: &Reader<'_>) {
    let mut first: HashMap<&str, &Entry<Source>> = HashMap::new();
    for entry in sources {
        let Some(other) = first.get(entry.value.write_key.as_str()) else {
            first.insert(&entry.value.write_key, entry);
            continue;
        };
        let place = other.part("write_key");
        let reason = Reason::WriteKeyTwice {
            first: other.value.name.clone(),
            first_line: line(&place),
        };
        entry.fault("write_key", entry.part("write_key"), reason, reader);
    }
}

fn write(source: &Source, out: &mut String) {
    text(out, "name", &source.name);
    text(out, "write_key", &source.write_key);
    let kind = match source.kind {
        SourceKind::Web => "web",
        SourceKind::Server => "server",
    };
    text(out, "kind", kind);
    list(out, "origins", &source.origins);
    text(out, "session_gap", &format!("{}ms", source.session_gap_ms));
    let consent = match source.consent_default {
        ConsentDefault::Granted => "granted",
        ConsentDefault::Anonymous => "anonymous",
        ConsentDefault::Denied => "denied",
    };
    text(out, "consent_default", consent);
    let gpc = match source.gpc {
        GpcPolicy::Anonymous => "anonymous",
        GpcPolicy::NoShare => "no-share",
    };
    text(out, "gpc", gpc);
    value(out, "dnt", &Value::from(source.dnt));
    list(out, "conversions", &source.conversions);
    if let Some(limit) = source.rate_limit {
        value(out, "rate_limit", &Value::from(i64::from(limit.get())));
    }
    if !source.consent_map.is_empty() {
        value(out, "consent_map", &print_consent_map(&source.consent_map));
    }
}

fn print_consent_map(map: &ConsentMap) -> Value {
    let meanings = map.iter().map(|(id, meaning)| {
        let meaning = match meaning {
            ConsentMeaning::Analytics => "analytics",
            ConsentMeaning::Advertising => "advertising",
            ConsentMeaning::Ignore => "ignore",
        };
        (id.as_str(), meaning)
    });
    Value::InlineTable(meanings.collect())
}
