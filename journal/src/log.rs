//! The list of segments on disk and where the durable part ends. In memory only.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use crate::segment::segment_name;

/// Where to read from, found by [`Log::locate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) base: u64,
    pub(crate) salt: u64,
    /// Offset after the segment's last frame; `None` in the active one.
    pub(crate) end: Option<u64>,
    /// Bytes at or past this may not be durable.
    pub(crate) limit: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentInfo {
    pub(crate) base: u64,
    pub(crate) salt: u64,
    pub(crate) bytes: u64,
    /// Known from the next segment's header; the last one has none.
    pub(crate) end: Option<u64>,
    /// The highest `decided_at` in it; known with `end`.
    pub(crate) newest: i64,
}

#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) segments: VecDeque<SegmentInfo>,
    /// Bytes of the active segment that are durable.
    pub(crate) tail: u64,
    /// Retired, its file perhaps not yet gone.
    pub(crate) leaving: Option<SegmentInfo>,
    /// Segments below this base were said not to be read soon.
    cold: u64,
}

impl Log {
    pub(crate) fn new(segments: VecDeque<SegmentInfo>, tail: u64) -> Self {
        Self {
            segments,
            tail,
            leaving: None,
            cold: 0,
        }
    }

    /// The oldest segment that cursors keeping up have left behind, once: beside the active
    /// segment they may still be in the one before it.
    pub(crate) fn next_cold(&mut self) -> Option<u64> {
        let warm = self.segments.len().saturating_sub(2);
        let mut sealed = self.segments.iter().take(warm);
        let base = sealed.find(|segment| segment.base >= self.cold)?.base;
        self.cold = base + 1;
        Some(base)
    }

    /// The oldest offset that can be read.
    pub(crate) fn oldest(&self) -> u64 {
        self.segments.front().map_or(0, |segment| segment.base)
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments
            .iter()
            .chain(&self.leaving)
            .map(|segment| segment.bytes)
            .sum()
    }

    /// Bytes of the segments that hold records from `offset` on; of the active one, what is written.
    pub(crate) fn bytes_from(&self, offset: u64) -> u64 {
        let held = |segment: &SegmentInfo| match segment.end {
            Some(end) if end <= offset => 0,
            Some(_) => segment.bytes,
            None => self.tail,
        };
        self.segments.iter().map(held).sum()
    }

    /// The segment that holds `offset`, or would hold it next. An offset in a gap that a repair
    /// left is looked for in the segment after the gap. `None` when it was retired.
    pub(crate) fn locate(&self, offset: u64) -> Option<Located> {
        let after = self
            .segments
            .partition_point(|segment| segment.base <= offset);
        let mut at = after.checked_sub(1)?;
        if self.segments[at].end.is_some_and(|end| end <= offset) {
            at += 1;
        }
        let segment = self.segments.get(at)?;
        let limit = if segment.end.is_some() {
            segment.bytes
        } else {
            self.tail
        };
        Some(Located {
            base: segment.base,
            salt: segment.salt,
            end: segment.end,
            limit,
        })
    }

    /// Seals the active segment and makes `segment` the active one.
    pub(crate) fn roll(&mut self, segment: SegmentInfo, newest: i64, tail: u64) {
        if let Some(last) = self.segments.back_mut() {
            last.end = Some(segment.base);
            last.newest = newest;
        }
        self.segments.push_back(segment);
        self.tail = tail;
    }
}

pub(crate) fn segment_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(segment_name(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let segment = |base, end| SegmentInfo {
            base,
            salt: base,
            bytes: 100,
            end,
            newest: 0,
        };
        let segments = [
            segment(10, Some(20)),
            segment(25, Some(30)),
            segment(30, None),
        ];
        Log::new(segments.into(), 64)
    }

    #[test]
    fn an_offset_is_found_in_its_segment() {
        let base = |offset| log().locate(offset).map(|found| found.base);
        assert_eq!([9, 10, 19].map(base), [None, Some(10), Some(10)]);
        assert_eq!(
            [25, 29, 30, 99].map(base),
            [Some(25), Some(25), Some(30), Some(30)]
        );
    }

    #[test]
    fn a_segment_turns_cold_once_two_newer_ones_exist() {
        let mut log = log();
        assert_eq!([log.next_cold(), log.next_cold()], [Some(10), None]);
    }

    #[test]
    fn an_offset_in_the_gap_of_a_repair_is_found_after_it() {
        assert_eq!(log().locate(22).map(|found| found.base), Some(25));
    }

    #[test]
    fn bytes_are_counted_from_the_segment_of_an_offset_on() {
        let bytes = |offset| log().bytes_from(offset);
        assert_eq!([10, 19, 20, 29, 30].map(bytes), [264, 264, 164, 164, 64]);
    }

    #[test]
    fn the_active_segment_is_read_up_to_the_durable_tail_only() {
        assert_eq!(
            log().locate(30).map(|found| (found.limit, found.end)),
            Some((64, None))
        );
        assert_eq!(log().locate(10).map(|found| found.limit), Some(100));
    }
}
