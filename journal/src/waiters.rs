//! Who waits for an offset, without any runtime: a list of wakers and when to wake them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use parking_lot::Mutex;

/// Wakers, each with the offset it waits for. Bounded by the futures that exist: one entry each,
/// removed when the future is dropped.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    list: Mutex<List>,
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct List {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    last_token: u64,
    due: Vec<Waker>,
}

#[derive(Debug)]
struct Entry {
    target: u64,
    token: u64,
    waker: Waker,
}

/// Above every target: a target is an offset, or [`NEVER`].
const EVERYONE: u64 = u64::MAX;
/// The target of who waits for the end of the journal only.
pub(crate) const NEVER: u64 = u64::MAX - 1;

/// A future's place in the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    index: usize,
    token: u64,
}

impl Waiters {
    /// Enters a future, or updates its waker. The caller must look at its condition once more
    /// afterwards: what came true before is not announced again.
    pub(crate) fn enter(&self, place: &mut Option<Place>, target: u64, waker: &Waker) {
        let mut list = self.list.lock();
        if let Some(entry) = place.and_then(|place| list.entry(place)) {
            entry.waker.clone_from(waker);
            return;
        }
        list.last_token += 1;
        let token = list.last_token;
        let entry = Some(Entry {
            target,
            token,
            waker: waker.clone(),
        });
        let index = match list.free.pop() {
            Some(index) => {
                list.entries[index] = entry;
                index
            }
            None => {
                list.entries.push(entry);
                list.entries.len() - 1
            }
        };
        self.count.fetch_add(1, Ordering::SeqCst);
        *place = Some(Place { index, token });
    }

    pub(crate) fn leave(&self, place: Option<Place>) {
        let Some(place) = place else { return };
        let mut list = self.list.lock();
        if list.entry(place).is_some() {
            list.entries[place.index] = None;
            list.free.push(place.index);
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Wakes everyone who waits for an offset below `reached`.
    pub(crate) fn wake_below(&self, reached: u64) {
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut due = self.take_below(reached);
        for waker in due.drain(..) {
            waker.wake();
        }
        // Kept for its capacity.
        self.list.lock().due = due;
    }

    /// Waking happens outside the lock, which the woken tasks take again.
    fn take_below(&self, reached: u64) -> Vec<Waker> {
        let mut guard = self.list.lock();
        let list = &mut *guard;
        let mut due = std::mem::take(&mut list.due);
        for (index, slot) in list.entries.iter_mut().enumerate() {
            if let Some(entry) = slot.take_if(|entry| entry.target < reached) {
                due.push(entry.waker);
                list.free.push(index);
            }
        }
        self.count.fetch_sub(due.len(), Ordering::SeqCst);
        due
    }

    /// Wakes everyone, whatever they wait for.
    pub(crate) fn wake_all(&self) {
        self.wake_below(EVERYONE);
    }
}

impl List {
    fn entry(&mut self, place: Place) -> Option<&mut Entry> {
        self.entries
            .get_mut(place.index)?
            .as_mut()
            .filter(|entry| entry.token == place.token)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn woken(counter: &Arc<Counter>) -> usize {
        counter.0.load(Ordering::SeqCst)
    }

    #[test]
    fn only_those_below_the_mark_are_woken() {
        let waiters = Waiters::default();
        let (low, high) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
        waiters.enter(&mut None, 4, &low.clone().into());
        waiters.enter(&mut None, 5, &high.clone().into());
        waiters.wake_below(5);
        assert_eq!((woken(&low), woken(&high)), (1, 0));
        waiters.wake_all();
        assert_eq!((woken(&low), woken(&high)), (1, 1));
    }

    #[test]
    fn a_dropped_future_leaves_no_entry_and_polling_again_adds_none() {
        let waiters = Waiters::default();
        let counter = Arc::new(Counter::default());
        let mut place = None;
        for _ in 0..3 {
            waiters.enter(&mut place, 9, &counter.clone().into());
        }
        assert_eq!(waiters.count.load(Ordering::SeqCst), 1);
        waiters.leave(place);
        waiters.wake_all();
        assert_eq!(woken(&counter), 0);
        assert_eq!(waiters.count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_place_that_was_given_to_another_is_not_removed() {
        let waiters = Waiters::default();
        let (first, second) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
        let mut old = None;
        waiters.enter(&mut old, 1, &first.into());
        waiters.wake_below(2);
        waiters.enter(&mut None, 1, &second.clone().into());
        waiters.leave(old);
        waiters.wake_below(2);
        assert_eq!(woken(&second), 1);
    }
}
