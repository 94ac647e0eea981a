//! From checked segments to the plan: slots, aggregates in their order, wake-ups.

use std::collections::{BTreeSet, HashMap};

use tidegate_event::{AggregateKind, SegmentId, Timestamp};

use super::check::{AggregateTable, Checked};
use super::ir::Reads;
use super::wake::Moment;
use crate::field::Field;
use crate::plan::{Plan, SegmentPlan, Wake};

/// Where each field of the typed form stands. Its aggregates are still numbered by appearance.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    slots: HashMap<Field, usize>,
    /// By appearance, the index in the plan.
    order: Vec<usize>,
}

impl Layout {
    /// The slot of a field that some rule reads.
    pub(crate) fn slot(&self, field: &Field) -> usize {
        *self
            .slots
            .get(field)
            .expect("every field that is read got a slot")
    }

    /// The plan's index of the aggregate that appeared as this one.
    pub(crate) fn aggregate(&self, appeared: usize) -> usize {
        self.order[appeared]
    }
}

/// Lays out the slots and tells the host what to do.
pub(crate) fn plan(segments: &[(&str, &Checked)], table: &AggregateTable) -> (Plan, Layout) {
    let mut by_id: Vec<usize> = (0..table.entries().len()).collect();
    by_id.sort_by_key(|index| table.entries()[*index].0.id);
    let mut order = vec![0; by_id.len()];
    for (index, appeared) in by_id.iter().enumerate() {
        order[*appeared] = index;
    }
    let aggregates = by_id
        .iter()
        .map(|appeared| table.entries()[*appeared].0)
        .collect();
    let fields = fields(segments, table);
    let slots = fields
        .iter()
        .cloned()
        .enumerate()
        .map(|(slot, field)| (field, slot))
        .collect();
    let layout = Layout { slots, order };
    let segments = segments
        .iter()
        .map(|(name, checked)| segment(name, checked, table, &layout))
        .collect();
    let fields = fields
        .into_iter()
        .map(|field| match field {
            Field::Aggregate(appeared) => Field::Aggregate(layout.aggregate(appeared)),
            field => field,
        })
        .collect();
    (
        Plan {
            fields,
            aggregates,
            segments,
        },
        layout,
    )
}

/// Every field that is read, event fields first, so that the first stage writes one run of slots.
fn fields(segments: &[(&str, &Checked)], table: &AggregateTable) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut read = |field: &Field, _: bool| {
        if seen.insert(field.clone()) {
            fields.push(field.clone());
        }
    };
    for (_, checked) in segments {
        checked.condition.reads(&mut read);
    }
    for (_, aggregate) in table.entries() {
        aggregate.what.reads(&mut read);
    }
    fields.sort_by_key(|field| !field.is_event_field());
    fields
}

fn segment(name: &str, checked: &Checked, table: &AggregateTable, layout: &Layout) -> SegmentPlan {
    let mut event_slots = BTreeSet::new();
    let mut aggregates = BTreeSet::new();
    let mut wake = BTreeSet::new();
    let mut reads_session = false;
    checked.condition.reads(&mut |field, presence_only| {
        reads_session |= matches!(field, Field::Session(_));
        if field.is_event_field() && !presence_only {
            event_slots.insert(layout.slot(field));
        }
        if let Field::Aggregate(appeared) = field {
            let index = layout.aggregate(*appeared);
            aggregates.insert(index);
            let spec = table.entries()[*appeared].0;
            match spec.kind {
                AggregateKind::Count | AggregateKind::Sum | AggregateKind::Distinct => {
                    // Without a window nothing ever leaves it.
                    if spec.window_ms > 0 {
                        wake.insert(Wake::WindowEdge(index));
                    }
                }
                AggregateKind::Absent => {
                    wake.insert(Wake::Absent(index));
                }
                AggregateKind::Last | AggregateKind::First | AggregateKind::Then => {}
            }
        }
    });
    for moment in &checked.moments {
        wake.insert(match moment {
            Moment::At(ms) => Wake::At(Timestamp(*ms)),
            Moment::After(Field::Aggregate(appeared), ms) => Wake::Age {
                aggregate: layout.aggregate(*appeared),
                ms: *ms,
            },
            Moment::After(field, ms) => Wake::FieldAge {
                slot: layout.slot(field),
                ms: *ms,
            },
        });
    }
    SegmentPlan {
        name: name.into(),
        id: SegmentId::of(name),
        event_slots: event_slots.into_iter().collect(),
        reads_session,
        aggregates: aggregates.into_iter().collect(),
        wake: wake.into_iter().collect(),
    }
}
