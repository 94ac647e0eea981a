//! `[[segment]]` entries.

use std::collections::HashMap;
use std::ops::Range;

use tidegate_event::SegmentId;
use tidegate_rules_wasm::{ExpressionError, SegmentSource, compile};

use super::Segment;
use super::change::EntryKind;
use super::entry::{CatalogEntry, Entry, read_name};
use super::file::{Context, Entries};
use super::write::text;
use crate::document::position::{in_literal, offset_of};
use crate::document::{Found, Place, Reader, Reason, Section};

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

impl CatalogEntry for Segment {
    const KIND: EntryKind = EntryKind::Segment;

    fn name(&self) -> &str {
        &self.name
    }

    fn read(section: Section<'_>, names: &mut Vec<String>) -> Option<Entry<Self>> {
        read(section, names)
    }

    fn check(entries: &[Entry<Self>], _all: &Entries, _context: Context<'_>, reader: &Reader<'_>) {
        let collided = collisions(entries, reader);
        if !collided {
            expressions(entries, reader);
        }
    }

    fn write(&self, out: &mut String) {
        text(out, "name", &self.name);
        text(out, "when", &self.when);
        let delay = format!("{}ms", self.wake_up_max_delay_ms);
        text(out, "wake_up_max_delay", &delay);
    }
}

fn read(section: Section<'_>, names: &mut Vec<String>) -> Option<Entry<Segment>> {
    let name = read_name(&section, "name = \"pricing-interested\"", names);
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
