//! The segments of one catalog generation, and the transitions of each.

use std::sync::Arc;

use tidegate_event::record::TransitionRef;
use tidegate_event::{Change, SegmentId};
use tidegate_rules_wasm::SegmentPlan;

use super::rules::RulesError;
use crate::catalog::Catalog;
use crate::profile::Profile;

/// Disabled segments whose names are kept for merges.
const DISABLED_MAX: usize = 256;

/// One segment as the decision needs it.
#[derive(Debug)]
pub struct Segment {
    /// Its name.
    pub name: Arc<str>,
    /// Its key.
    pub id: SegmentId,
    /// It becomes false at a session's end.
    pub reads_session: bool,
    /// A wake-up later than this is marked `overdue`, milliseconds.
    pub wake_up_max_delay_ms: i64,
}

/// A segment that left the catalog: profiles may still be members.
#[derive(Debug)]
pub struct DisabledSegment {
    /// Its key.
    pub id: SegmentId,
    /// Its name.
    pub name: Arc<str>,
}

/// All of one generation.
#[derive(Debug)]
pub struct Segments {
    /// In catalog order; position `i` is verdict `i`.
    in_order: Vec<Segment>,
    /// Those that left the catalog, at most 256.
    disabled: Vec<DisabledSegment>,
    /// Positions, ordered by the segment's key.
    by_id: Vec<(SegmentId, usize)>,
}

impl Segments {
    /// Those of `catalog`, as they were compiled.
    ///
    /// # Errors
    /// [`RulesError::Collision`]
    pub(super) fn new(planned: &[SegmentPlan], catalog: &Catalog) -> Result<Self, RulesError> {
        let in_order = in_order(planned, catalog)?;
        let ids = in_order.iter().map(|segment| segment.id);
        let mut by_id: Vec<_> = ids.zip(0..).collect();
        by_id.sort_unstable();
        Ok(Self {
            disabled: disabled(&in_order, catalog),
            in_order,
            by_id,
        })
    }

    /// In catalog order.
    pub fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.in_order.iter()
    }

    /// Those that left the catalog, at most 256.
    #[must_use]
    pub fn disabled(&self) -> &[DisabledSegment] {
        &self.disabled
    }

    /// The segment with this key.
    #[must_use]
    pub fn get(&self, id: SegmentId) -> Option<&Segment> {
        let found = self.by_id.binary_search_by_key(&id, |(id, _)| *id);
        found.ok().map(|found| &self.in_order[self.by_id[found].1])
    }

    /// Every segment's key with its position, ordered by key.
    pub fn by_id(&self) -> impl Iterator<Item = (SegmentId, usize)> + '_ {
        self.by_id.iter().copied()
    }

    /// A transition of the segment at `position`.
    #[must_use]
    pub fn transition(&self, position: usize, change: Change, epoch: u32) -> TransitionRef<'_> {
        self.in_order[position].transition(change, epoch)
    }

    /// At the end of the newest session every segment that reads `session.*` becomes false.
    #[must_use]
    pub fn session_exits<'r>(&'r self, profile: &Profile) -> Vec<TransitionRef<'r>> {
        let mut exits = Vec::new();
        for segment in self.iter().filter(|segment| segment.reads_session) {
            let was = profile.memberships.get(segment.id);
            if was.member {
                exits.push(segment.transition(Change::Exit, was.epoch.saturating_add(1)));
            }
        }
        exits
    }

    /// Upper bound of the bytes that one record's transitions can take, head and JSON together.
    #[must_use]
    pub fn transition_bytes_max(&self) -> usize {
        self.iter().map(|segment| bytes_max(&segment.name)).sum()
    }

    /// Upper bound of what a merge's record takes beyond that: transitions of disabled segments.
    #[must_use]
    pub fn disabled_bytes_max(&self) -> usize {
        let disabled = self.disabled.iter();
        disabled.map(|segment| bytes_max(&segment.name)).sum()
    }
}

impl Segment {
    /// A transition of it.
    #[must_use]
    pub fn transition(&self, change: Change, epoch: u32) -> TransitionRef<'_> {
        TransitionRef::new(self.id, &self.name, change, epoch)
    }
}

impl DisabledSegment {
    /// A transition of it.
    #[must_use]
    pub fn transition(&self, change: Change, epoch: u32) -> TransitionRef<'_> {
        TransitionRef::new(self.id, &self.name, change, epoch)
    }
}

/// Upper bound of the bytes of one transition of this segment, head and JSON together.
const fn bytes_max(segment: &str) -> usize {
    segment.len() * 2 + 160
}

fn in_order(planned: &[SegmentPlan], catalog: &Catalog) -> Result<Vec<Segment>, RulesError> {
    let mut segments: Vec<Segment> = Vec::with_capacity(planned.len());
    for (planned, declared) in planned.iter().zip(&catalog.segments) {
        if let Some(same) = segments.iter().find(|s| s.id == planned.id) {
            return Err(RulesError::Collision(
                same.name.to_string(),
                planned.name.to_string(),
            ));
        }
        segments.push(Segment {
            name: Arc::from(&*planned.name),
            id: planned.id,
            reads_session: planned.reads_session,
            wake_up_max_delay_ms: i64::try_from(declared.wake_up_max_delay_ms).unwrap_or(i64::MAX),
        });
    }
    Ok(segments)
}

fn disabled(segments: &[Segment], catalog: &Catalog) -> Vec<DisabledSegment> {
    let names = catalog.disabled_segments.iter();
    names
        .map(|name| DisabledSegment {
            id: SegmentId::of(name),
            name: Arc::from(&**name),
        })
        // A key that is in force again under another name is that segment's.
        .filter(|disabled| segments.iter().all(|segment| segment.id != disabled.id))
        .take(DISABLED_MAX)
        .collect()
}
