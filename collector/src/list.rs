//! A list as long as what is in it: two words and no spare room. A million visitors' lists of one
//! or two entries cost what the entries do; adding one may move the others.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

/// A short list that seldom grows. Reads and changes in place as a slice does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct List<T>(Box<[T]>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for List<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

impl<T> List<T> {
    /// Adds an entry behind the others.
    pub fn push(&mut self, entry: T) {
        self.insert(self.len(), entry);
    }

    /// Adds an entry at `at`, which is at most the list's length.
    pub fn insert(&mut self, at: usize, entry: T) {
        self.change(|entries| {
            entries.reserve_exact(1);
            entries.insert(at, entry);
        });
    }

    /// Takes the entry at `at` out; it must be there.
    pub fn remove(&mut self, at: usize) -> T {
        self.change(|entries| entries.remove(at))
    }

    /// Adds entries behind the others.
    pub fn extend(&mut self, more: impl ExactSizeIterator<Item = T>) {
        self.change(|entries| {
            entries.reserve_exact(more.len());
            entries.extend(more);
        });
    }

    /// Lets go what `stays` does not want.
    pub fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        if !self.iter().all(&stays) {
            self.change(|entries| entries.retain(stays));
        }
    }

    fn change<R>(&mut self, with: impl FnOnce(&mut Vec<T>) -> R) -> R {
        let mut entries = std::mem::take(&mut self.0).into_vec();
        let result = with(&mut entries);
        self.0 = entries.into_boxed_slice();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_and_go_as_in_a_vector() {
        let mut list = List::default();
        list.push('b');
        list.insert(0, 'a');
        list.extend(['c', 'd'].into_iter());
        assert_eq!(list.remove(1), 'b');
        list.retain(|entry| *entry != 'd');
        assert_eq!(*list, ['a', 'c']);
    }
}
