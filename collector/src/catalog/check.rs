//! What the entries of a catalog say together: names that are unique, segments that compile,
//! destinations that can be called.

use std::collections::HashMap;
use std::ops::Range;

use tidegate_event::SegmentId;
use tidegate_rules_wasm::{ExpressionError, SegmentSource, compile};

use super::file::{Context, Entries, Entry};
use super::{Segment, Source, destination};
use crate::document::position::{in_literal, offset_of};
use crate::document::{Place, Reader, Reason};

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
    for entry in destinations {
        if let Some(known) = &known {
            destination::known_segments(entry, known, reader);
        }
        destination::callable(entry, context.allow_private, reader);
    }
}

impl<T> Entry<T> {
    pub(super) fn fault(&self, key: &str, place: Place, reason: Reason, reader: &Reader<'_>) {
        reader.fault(place, &format!("{}{key}", self.path), reason);
    }

    fn part(&self, key: &str) -> Place {
        self.part_at(key, 0)
    }

    /// The place of a key's value of this number, from 0; of the name where it has none.
    pub(super) fn part_at(&self, key: &str, at: usize) -> Place {
        let mut parts = self.parts.iter().filter(|(part, _)| *part == key);
        parts
            .nth(at)
            .map_or_else(|| self.name.clone(), |(_, place)| place.clone())
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
