//! Which offsets Kafka still owes an answer for. The cursor may stand at the lowest of them and
//! no further, however the answers of later ones overtake (invariant 2). Pure.

use std::collections::VecDeque;

/// Offsets handed to the producer, each with the answers it still waits for.
#[derive(Debug)]
pub(super) struct Window {
    /// Every offset below it is settled.
    lowest: u64,
    /// Answers outstanding for `lowest`, `lowest + 1`, ...
    owed: VecDeque<u32>,
    /// Sum of `owed`.
    in_flight: usize,
}

impl Window {
    /// Nothing outstanding; the next offset is `from`.
    pub(super) fn new(from: u64) -> Self {
        Self {
            lowest: from,
            owed: VecDeque::new(),
            in_flight: 0,
        }
    }

    /// Every offset below it is settled: where the cursor may stand.
    pub(super) fn lowest(&self) -> u64 {
        self.lowest
    }

    /// One past the highest offset opened.
    pub(super) fn end(&self) -> u64 {
        self.lowest + self.owed.len() as u64
    }

    /// Messages handed over and not answered yet.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// One more message of `offset` is handed over. Offsets come in ascending order; those left
    /// out carried nothing.
    pub(super) fn open(&mut self, offset: u64) {
        if self.hold(offset) {
            self.in_flight += 1;
        }
    }

    /// Keeps the cursor from passing `offset` until [`Window::release`]: further messages of it are
    /// to come, even if every one so far is answered. False where it has passed already.
    pub(super) fn hold(&mut self, offset: u64) -> bool {
        if offset < self.lowest {
            return false;
        }
        self.skip_to(offset);
        if self.end() == offset {
            self.owed.push_back(0);
        }
        let index = offset - self.lowest;
        let owed = usize::try_from(index)
            .ok()
            .and_then(|index| self.owed.get_mut(index));
        owed.map(|owed| *owed += 1).is_some()
    }

    /// Nothing below `offset` is still to be opened.
    pub(super) fn skip_to(&mut self, offset: u64) {
        if self.owed.is_empty() {
            self.lowest = self.lowest.max(offset);
        }
        while self.end() < offset {
            self.owed.push_back(0);
        }
    }

    /// One message of `offset` is answered for good.
    pub(super) fn settle(&mut self, offset: u64) {
        if self.release(offset) {
            self.in_flight -= 1;
        }
    }

    /// Takes back one [`Window::hold`]; false where there was none.
    pub(super) fn release(&mut self, offset: u64) -> bool {
        let index = offset.checked_sub(self.lowest);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let owed = index.and_then(|index| self.owed.get_mut(index));
        let Some(owed) = owed.filter(|owed| **owed > 0) else {
            return false;
        };
        *owed -= 1;
        while self.owed.front() == Some(&0) {
            self.owed.pop_front();
            self.lowest += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn the_lowest_unanswered_offset_holds_the_cursor() {
        let mut window = Window::new(10);
        for offset in [10, 11, 11, 12] {
            window.open(offset);
        }
        window.settle(12);
        window.settle(11);
        assert_eq!(window.lowest(), 10);
        window.settle(10);
        assert_eq!(
            window.lowest(),
            11,
            "offset 11 waits for its second message"
        );
        window.settle(11);
        assert_eq!((window.lowest(), window.in_flight()), (13, 0));
    }

    #[test]
    fn offsets_without_messages_do_not_hold_it() {
        let mut window = Window::new(0);
        window.open(3);
        assert_eq!(window.lowest(), 3);
        window.open(7);
        window.skip_to(9);
        assert_eq!(window.end(), 9);
        window.settle(3);
        assert_eq!(window.lowest(), 7);
        window.settle(7);
        assert_eq!(window.lowest(), 9);
        window.skip_to(20);
        assert_eq!(window.lowest(), 20);
    }

    #[test]
    fn an_answer_too_many_changes_nothing() {
        let mut window = Window::new(5);
        window.open(5);
        window.settle(4);
        window.settle(6);
        assert_eq!((window.lowest(), window.in_flight()), (5, 1));
        window.settle(5);
        window.settle(5);
        assert_eq!((window.lowest(), window.in_flight()), (6, 0));
    }

    #[test]
    fn a_record_with_messages_still_to_come_holds_the_cursor() {
        let mut window = Window::new(0);
        window.open(0);
        assert!(window.hold(0));
        window.settle(0);
        assert_eq!((window.lowest(), window.in_flight()), (0, 0));
        window.skip_to(5);
        assert_eq!(window.lowest(), 0);
        window.open(0);
        assert!(window.release(0));
        window.settle(0);
        assert_eq!(window.lowest(), 5);
        assert!(!window.hold(4));
    }

    proptest! {
        #[test]
        fn in_any_order_of_answers_it_is_the_lowest_unanswered(
            messages in prop::collection::vec(0_usize..4, 1..40),
            order in any::<u64>().prop_map(|seed| seed | 1),
        ) {
            let mut window = Window::new(0);
            let mut open = Vec::new();
            for (offset, count) in messages.iter().enumerate() {
                for _ in 0..*count {
                    window.open(offset as u64);
                    open.push(offset as u64);
                }
            }
            window.skip_to(messages.len() as u64);
            let mut state = order;
            while !open.is_empty() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let pick = usize::try_from(state >> 33).unwrap() % open.len();
                window.settle(open.swap_remove(pick));
                let lowest = open.iter().copied().min().unwrap_or(messages.len() as u64);
                prop_assert_eq!(window.lowest(), lowest);
                prop_assert_eq!(window.in_flight(), open.len());
            }
        }
    }
}
