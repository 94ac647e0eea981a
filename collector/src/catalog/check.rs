//! What the entries of a catalog say together: names that are unique, segments that compile,
//! destinations that can be called.

use std::collections::HashMap;
use std::iter;
use std::ops::Range;

use tidegate_activation::{ConfigFaultKind, DestinationConfig, Network, Secret, destinations};
use tidegate_event::SegmentId;
use tidegate_rules_wasm::{ExpressionError, SegmentSource, compile};

use super::file::{Context, Entries, Entry};
use super::{Destination, DestinationKind, Segment, Source};
use crate::document::position::{in_literal, offset_of};
use crate::document::suggest::nearest;
use crate::document::{Place, Reader, Reason};
use crate::settings::Cidr;

/// Notes what the entries cannot mean together.
pub(super) fn together(entries: &Entries, context: Context<'_>, reader: &Reader<'_>) {
    let sources = entries.sources.as_deref().unwrap_or_default();
    let segments = entries.segments.as_deref().unwrap_or_default();
    let destinations = entries.destinations.as_deref().unwrap_or_default();
    unique(sources, |source| &source.name, reader);
    unique(segments, |segment| &segment.name, reader);
    unique(destinations, |destination| &destination.name, reader);
    write_keys(sources, reader);
    let collided = collisions(segments, reader);
    if !collided {
        expressions(segments, reader);
    }
    let known = known_segments(entries, context);
    for destination in destinations {
        if let Some(known) = &known {
            told_of(destination, known, reader);
        }
        callable(destination, context.allow_private, reader);
    }
}

impl<T> Entry<T> {
    fn fault(&self, key: &str, place: Place, reason: Reason, reader: &Reader<'_>) {
        reader.fault(place, &format!("{}{key}", self.path), reason);
    }

    fn part(&self, key: &str) -> Place {
        let part = self.parts.iter().find(|(part, _)| *part == key);
        part.map_or_else(|| self.name.clone(), |(_, place)| place.clone())
    }
}

fn line(place: &Place) -> u32 {
    match place {
        Place::File { line, .. } => *line,
        Place::Environment { .. } | Place::Defaults => 0,
    }
}

fn unique<'e, T>(entries: &'e [Entry<T>], name: impl Fn(&'e T) -> &'e str, reader: &Reader<'_>) {
    let mut first: HashMap<&str, u32> = HashMap::new();
    for entry in entries {
        let given = name(&entry.value);
        let Some(first_line) = first.get(given) else {
            first.insert(given, line(&entry.name));
            continue;
        };
        let reason = Reason::Twice {
            given: given.to_owned(),
            what: "name",
            first_line: *first_line,
        };
        entry.fault("name", entry.name.clone(), reason, reader);
    }
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

/// Different names with one key; true where there are such, or one name twice.
fn collisions(segments: &[Entry<Segment>], reader: &Reader<'_>) -> bool {
    let mut first: HashMap<SegmentId, &str> = HashMap::new();
    let mut any = false;
    for entry in segments {
        let given = entry.value.name.as_str();
        let Some(other) = first.get(&SegmentId::of(given)) else {
            first.insert(SegmentId::of(given), given);
            continue;
        };
        any = true;
        if *other != given {
            let reason = Reason::Collision {
                given: given.to_owned(),
                other: (*other).to_owned(),
            };
            entry.fault("name", entry.name.clone(), reason, reader);
        }
    }
    any
}

fn expressions(segments: &[Entry<Segment>], reader: &Reader<'_>) {
    let sources: Vec<SegmentSource> = segments
        .iter()
        .map(|entry| SegmentSource {
            name: entry.value.name.clone(),
            when: entry.value.when.clone(),
        })
        .collect();
    for error in compile(&sources).err().unwrap_or_default() {
        let blamed = segments
            .iter()
            .find(|entry| entry.value.name == *error.segment)
            .or(segments.first());
        if let Some(entry) = blamed {
            let place = entry.literal.clone().map_or_else(
                || entry.part("when"),
                |literal| within(entry, literal, &error, reader),
            );
            let message = error.message.to_string();
            entry.fault("when", place, Reason::Expression { message }, reader);
        }
    }
}

/// The place in the file of a place in the expression.
fn within(
    entry: &Entry<Segment>,
    literal: Range<usize>,
    error: &ExpressionError,
    reader: &Reader<'_>,
) -> Place {
    let document = reader.document();
    let wanted = offset_of(&entry.value.when, error.line, error.column);
    document.place(in_literal(document.text(), literal, wanted))
}

/// Every segment that a destination may name; None where that cannot be known.
fn known_segments(entries: &Entries, context: Context<'_>) -> Option<Vec<String>> {
    if entries.segments.is_some() {
        return Some(entries.segment_names.clone());
    }
    let current = context.current?;
    let names = current.segments.iter().map(|segment| segment.name.clone());
    Some(names.collect())
}

fn told_of(entry: &Entry<Destination>, known: &[String], reader: &Reader<'_>) {
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
    let networks = networks(allow.unwrap_or_default());
    let found = destinations::check(&[config(&entry.value)], &networks);
    for fault in found.err().unwrap_or_default() {
        let (key, reason) = match fault.kind {
            ConfigFaultKind::Url => (
                "url",
                Reason::Url {
                    form: "an http or https URL",
                },
            ),
            ConfigFaultKind::UserInfo => (
                "url",
                Reason::Url {
                    form: "a URL without user and password",
                },
            ),
            ConfigFaultKind::PrivateAddress if allow.is_none() => continue,
            ConfigFaultKind::PrivateAddress => (
                "url",
                Reason::Needs {
                    needs: "its private address to be allowed",
                    remedy: "add it to activation.allow_private in tidegate.toml",
                },
            ),
            // Each one is checked at its own place.
            ConfigFaultKind::Secret => continue,
            ConfigFaultKind::NoSecret => (
                "secret",
                Reason::Secret {
                    why: "it is not whsec_ and the base64 of 24 to 64 bytes",
                },
            ),
            // Their own keys' bounds have told these already.
            ConfigFaultKind::Name | ConfigFaultKind::DuplicateName | ConfigFaultKind::ZeroLimit => {
                continue;
            }
        };
        entry.fault(key, entry.part(key), reason, reader);
    }
    well_formed_secrets(entry, reader);
}

fn well_formed_secrets(entry: &Entry<Destination>, reader: &Reader<'_>) {
    let DestinationKind::Webhook {
        secret,
        further_secrets,
        ..
    } = &entry.value.kind;
    let places = entry.parts.iter().filter(|(part, _)| *part == "secret");
    let secrets = iter::once(secret).chain(further_secrets);
    for (secret, (_, place)) in secrets.zip(places) {
        if tidegate_activation::destinations::webhook::SigningKey::parse(secret).is_err() {
            let reason = Reason::Secret {
                why: "it is not whsec_ and the base64 of 24 to 64 bytes",
            };
            entry.fault("secret", place.clone(), reason, reader);
        }
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
    match &destination.kind {
        DestinationKind::Webhook {
            url,
            secret,
            further_secrets,
            rps,
            concurrency,
            timeout_ms,
        } => {
            let mut config = DestinationConfig::webhook(&destination.name, url, secret, &segments);
            let secrets = iter::once(secret).chain(further_secrets);
            config.kind = tidegate_activation::DestinationKind::Webhook {
                url: url.clone(),
                secrets: secrets.map(Secret::new).collect(),
            };
            config.limits.rps = *rps;
            config.limits.concurrency = usize::try_from(*concurrency).unwrap_or(usize::MAX);
            config.limits.timeout_ms = *timeout_ms;
            config
        }
    }
}
