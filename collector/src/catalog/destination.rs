//! `[[destination]]` entries. The keys that all have are known here; those of a kind are read,
//! checked and printed as the activation crate declares them.

use tidegate_activation::destinations::{Declaration, Form, KINDS, Key, Value, find};
use tidegate_activation::{DestinationConfig, Network, Secret};
use toml_edit::Value as Toml;

use super::change::EntryKind;
use super::entry::{CatalogEntry, Entry, read_name};
use super::file::{Context, Entries};
use super::write::{list, text, value as print};
use super::{Destination, DestinationKind};
use crate::document::suggest::nearest;
use crate::document::{Found, Place, Reader, Reason, Section};
use crate::settings::Cidr;

/// The places of values, by key.
type Parts = Vec<(&'static str, Place)>;

impl CatalogEntry for Destination {
    const KIND: EntryKind = EntryKind::Destination;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(section: Section<'_>, names: &mut Vec<String>) -> Option<Entry<Self>> {
        read(section, names)
    }

    fn check(entries: &[Entry<Self>], all: &Entries, context: Context<'_>, reader: &Reader<'_>) {
        let known = known_segments(all, context);
        for entry in entries {
            if let Some(known) = &known {
                segments_exist(entry, known, reader);
            }
            callable(entry, context.allow_private, reader);
        }
    }

    fn write(&self, out: &mut String) {
        write(self, out);
    }
}

fn read(section: Section<'_>, names: &mut Vec<String>) -> Option<Entry<Destination>> {
    let name = read_name(&section, "name = \"ads\"", names);
    let declaration = declaration(&section);
    let list = section
        .require("segments", "segments = [\"pricing-interested\"]")
        .and_then(|found| found.list());
    let mut parts = Parts::new();
    let mut segments = Vec::new();
    for found in list.unwrap_or_default() {
        if let Some(segment) = found.text() {
            parts.push(("segments", found.place().clone()));
            segments.push(segment);
        }
    }
    let kind = DestinationKind::read(declaration, |key| value(&section, key, &mut parts));
    let path = section.path_of("");
    section.finish();
    let ((name, place), kind) = (name?, kind?);
    Some(Entry {
        value: Destination {
            name,
            segments,
            kind,
        },
        name: place,
        parts,
        path,
        literal: None,
    })
}

/// An unknown kind is noted, and the rest is read as of the first one.
fn declaration(section: &Section<'_>) -> &'static Declaration {
    let found = section.require("kind", KINDS[0].example);
    let declaration = found.and_then(|found| {
        let known = found.text().and_then(|word| find(&word));
        known.or_else(|| {
            let offered = KINDS.map(|kind| (kind.name, kind));
            found.word(&offered)
        })
    });
    declaration.unwrap_or(KINDS[0])
}

/// The value of one declared key; None where it is required and there is none.
fn value(section: &Section<'_>, key: &'static Key, parts: &mut Parts) -> Option<Value> {
    match &key.form {
        Form::Text { example } => {
            let found = section.require(key.name, example)?;
            let text = found.text()?;
            parts.push((key.name, found.place().clone()));
            Some(Value::Text(text))
        }
        Form::Secrets {
            most,
            example,
            count,
            ..
        } => {
            let found = section.require(key.name, example)?;
            let elements = found.one_or_list()?;
            if !(1..=*most).contains(&elements.len()) {
                found.fault(Reason::Refused { message: count });
                return None;
            }
            let secrets: Option<Vec<_>> = elements.iter().map(Found::text).collect();
            let places = elements.iter().map(|one| (key.name, one.place().clone()));
            parts.extend(places);
            Some(Value::Secrets(
                secrets?.into_iter().map(Secret::new).collect(),
            ))
        }
        Form::Number { range, default } => {
            let mut number = *default;
            section.number(key.name, &mut number, range.clone());
            Some(Value::Number(number))
        }
        Form::Duration { range, default } => {
            let mut ms = *default;
            section.duration(key.name, &mut ms, range.clone());
            Some(Value::Number(ms))
        }
    }
}

/// Every segment that a destination may name; None where that cannot be known.
fn known_segments(entries: &Entries, context: Context<'_>) -> Option<Vec<String>> {
    if entries.segments.entries.is_some() {
        return Some(entries.segments.names.clone());
    }
    let current = context.current?;
    let names = current.segments.iter().map(|segment| segment.name.clone());
    Some(names.collect())
}

/// Notes segments that are not there.
fn segments_exist(entry: &Entry<Destination>, known: &[String], reader: &Reader<'_>) {
    let places = entry.parts.iter().filter(|(part, _)| *part == "segments");
    for (segment, (_, place)) in entry.value.segments.iter().zip(places) {
        if segment == "*" || known.contains(segment) {
            continue;
        }
        let names = known.iter().map(String::as_str);
        let reason = Reason::NoSegment {
            given: segment.clone(),
            meant: nearest(segment, names).map(str::to_owned),
            known: known.iter().take(20).cloned().collect(),
        };
        entry.fault("segments", place.clone(), reason, reader);
    }
}

/// Asks the crate that will call it.
fn callable(entry: &Entry<Destination>, allow: Option<&[Cidr]>, reader: &Reader<'_>) {
    let networks = allow.map(networks);
    let checked = entry.value.kind.check(networks.as_deref());
    for error in checked.err().unwrap_or_default() {
        let reason = Reason::Refused {
            message: error.message,
        };
        entry.fault(
            error.key,
            entry.part_at(error.key, error.at),
            reason,
            reader,
        );
    }
}

/// `[activation] allow_private` as the activation crate takes it.
#[must_use]
pub fn networks(ranges: &[Cidr]) -> Vec<Network> {
    let text = |range: &Cidr| format!("{}/{}", range.network, range.prefix);
    ranges
        .iter()
        .filter_map(|range| text(range).parse().ok())
        .collect()
}

/// Destinations as the activation crate takes them. Together they have at most so many requests in
/// flight, each of them an equal part, so that one which does not answer takes none of the others'.
#[must_use]
pub fn configs(destinations: &[Destination], in_flight_max: usize) -> Vec<DestinationConfig> {
    let part = (in_flight_max / destinations.len().max(1)).max(1);
    let mut configs: Vec<_> = destinations.iter().map(config).collect();
    for config in &mut configs {
        config.limits.concurrency = config.limits.concurrency.min(part);
    }
    configs
}

fn config(destination: &Destination) -> DestinationConfig {
    let segments: Vec<&str> = destination.segments.iter().map(String::as_str).collect();
    DestinationConfig::new(&destination.name, destination.kind.clone(), &segments)
}

fn write(destination: &Destination, out: &mut String) {
    text(out, "name", &destination.name);
    list(out, "segments", &destination.segments);
    text(out, "kind", destination.kind.name());
    for (key, given) in destination.kind.values() {
        match (given, &key.form) {
            (Value::Text(word), _) => text(out, key.name, word),
            (Value::Secrets(secrets), _) => match secrets.as_slice() {
                [one] => text(out, key.name, one.expose()),
                several => print(out, key.name, &several.iter().map(Secret::expose).collect()),
            },
            (Value::Number(ms), Form::Duration { .. }) => text(out, key.name, &format!("{ms}ms")),
            (Value::Number(number), _) => {
                print(out, key.name, &Toml::from(number.cast_signed()));
            }
        }
    }
}
