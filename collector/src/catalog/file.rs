//! The keys of `catalog.toml`, entry by entry, with their types and bounds. What entries say
//! together is [`super::check`]'s.

use std::num::NonZeroU32;
use std::ops::Range;

use super::{
    Catalog, ConsentDefault, ConsentMap, ConsentMeaning, Destination, GpcPolicy, Segment, Source,
    SourceKind, check, destination,
};
use crate::document::{Document, Environment, Faults, Found, Place, Reader, Reason, Section};
use crate::settings::Cidr;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A whole number of entries of each kind, at most: what one process is meant to hold.
pub const ENTRIES_MAX: usize = 10_000;

/// Ids in one `consent_map`.
const CONSENT_IDS_MAX: usize = 100;

/// What a file says. A kind that the file does not name at all is None: it stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declared {
    /// `[[source]]`
    pub sources: Option<Vec<Source>>,
    /// `[[segment]]`
    pub segments: Option<Vec<Segment>>,
    /// `[[destination]]`
    pub destinations: Option<Vec<Destination>>,
}

/// What the file is held against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// The catalog in force; None where it is not known, so that nothing is asked of it.
    pub current: Option<&'a Catalog>,
    /// The private addresses that may be called; None where the settings are not known.
    pub allow_private: Option<&'a [Cidr]>,
}

/// Reads and checks a catalog.
///
/// # Errors
/// Every mistake of the document.
pub fn read(document: &Document, context: Context<'_>) -> Result<Declared, Faults> {
    let environment = Environment::new();
    let reader = Reader::new(document, &environment);
    let entries = read_entries(&reader);
    check::together(&entries, context, &reader);
    let declared = Declared {
        sources: entries.sources.map(values),
        segments: entries.segments.map(values),
        destinations: entries.destinations.map(values),
    };
    reader.finish().or(declared)
}

/// An entry with the places that later checks blame.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) value: T,
    /// Of its name.
    pub(super) name: Place,
    /// Of its other keys that checks look at.
    pub(super) parts: Vec<(&'static str, Place)>,
    /// The full path of the entry.
    pub(super) path: String,
    /// The literal of `when`.
    pub(super) literal: Option<Range<usize>>,
}

/// All entries as read; one that lacks a required key is left out.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) sources: Option<Vec<Entry<Source>>>,
    pub(super) segments: Option<Vec<Entry<Segment>>>,
    pub(super) destinations: Option<Vec<Entry<Destination>>>,
    /// Segments named in the file, those with mistakes too.
    pub(super) segment_names: Vec<String>,
}

fn values<T>(entries: Vec<Entry<T>>) -> Vec<T> {
    entries.into_iter().map(|entry| entry.value).collect()
}

pub(super) fn read_entries(reader: &Reader<'_>) -> Entries {
    let root = reader.root();
    let mut segment_names = Vec::new();
    let entries = Entries {
        sources: kind(&root, "source", source),
        segments: kind(&root, "segment", |section| {
            segment(section, &mut segment_names)
        }),
        destinations: kind(&root, "destination", destination::read),
        segment_names,
    };
    root.finish();
    entries
}

fn kind<T>(
    root: &Section<'_>,
    key: &'static str,
    mut read: impl FnMut(Section<'_>) -> Option<Entry<T>>,
) -> Option<Vec<Entry<T>>> {
    let sections = root.sections(key)?;
    if sections.len() > ENTRIES_MAX {
        root.fault(
            key,
            Reason::Range {
                given: format!("{} entries", sections.len()),
                least: "0".to_owned(),
                most: ENTRIES_MAX.to_string(),
            },
        );
        return Some(Vec::new());
    }
    Some(sections.into_iter().filter_map(&mut read).collect())
}

fn source(section: Section<'_>) -> Option<Entry<Source>> {
    let name = name(&section, "name = \"shop\"");
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

fn segment(section: Section<'_>, names: &mut Vec<String>) -> Option<Entry<Segment>> {
    let name = name(&section, "name = \"pricing-interested\"");
    names.extend(name.as_ref().map(|(name, _)| name.clone()));
    let when = section.require("when", "when = 'page.path.startsWith(\"/pricing\")'");
    // An empty one is for the compiler to refuse: it says what to write.
    let text = when.as_ref().and_then(Found::text);
    let mut delay_ms = DAY;
    section.duration("wake_up_max_delay", &mut delay_ms, MINUTE..=30 * DAY);
    let path = section.path_of("");
    section.finish();
    let when = when?;
    // Without its name it is refused all the same; what else is wrong is told at once.
    let (name, place) = name.unwrap_or_else(|| (path.clone(), when.place().clone()));
    Some(Entry {
        value: Segment {
            name,
            when: text?,
            wake_up_max_delay_ms: delay_ms,
        },
        name: place,
        parts: vec![("when", when.place().clone())],
        path,
        literal: when.span(),
    })
}

pub(super) fn name(section: &Section<'_>, example: &'static str) -> Option<(String, Place)> {
    let found = section.require("name", example)?;
    let name = found.text()?;
    if is_name(&name) {
        return Some((name, found.place().clone()));
    }
    found.fault(Reason::Form {
        given: name,
        form: "a name of 1 to 64 of a-z, 0-9, \".\", \"_\" and \"-\", the first a letter or digit",
        example: "\"pricing-interested\"",
    });
    None
}

fn is_name(name: &str) -> bool {
    let first = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(first)
        && name.bytes().all(|c| first(c) || b"._-".contains(&c))
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
