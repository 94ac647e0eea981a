//! The guards that keep strangers apart: what one profile may have of each kind, and in all. Asked
//! before an identifier is tied and before profiles merge; `core` holds the locks meanwhile. The
//! limit of merges within an hour is in `profile::merge`.

use smallvec::SmallVec;
use tidegate_event::Timestamp;

use super::identifiers::Identifiers;
use super::kinds::{Kind, Limit};

const WEEK_MS: i64 = 7 * 86_400_000;

/// What the profile that is being formed has so far.
#[derive(Debug)]
pub(crate) struct Tally<'k> {
    kinds: &'k [Kind],
    /// Of all kinds together.
    total: usize,
    total_max: usize,
    /// In the order of `kinds`.
    of_kind: SmallVec<[OfKind; 4]>,
}

#[derive(Clone, Debug, Default)]
struct OfKind {
    /// Tied within a week.
    recent: usize,
    /// Where only one is allowed: it.
    only: Option<String>,
}

impl<'k> Tally<'k> {
    /// Nothing yet.
    pub(crate) fn new(kinds: &'k [Kind], total_max: usize) -> Self {
        Self {
            kinds,
            total: 0,
            total_max,
            of_kind: kinds.iter().map(|_| OfKind::default()).collect(),
        }
    }

    /// Whether one more of this kind may be tied.
    pub(crate) fn fits(&self, kind: &Kind) -> bool {
        let own = self.at(kind).map(|at| &self.of_kind[at]);
        self.total < self.total_max
            && own.is_some_and(|own| match kind.limit {
                Limit::One => own.only.is_none(),
                Limit::PerWeek(max) => own.recent < max,
            })
    }

    /// Adds one that is newly tied.
    pub(crate) fn add(&mut self, kind: &Kind, value: &str) {
        self.total += 1;
        let Some(at) = self.at(kind) else { return };
        match kind.limit {
            Limit::One => self.of_kind[at].only = Some(value.to_owned()),
            Limit::PerWeek(_) => self.of_kind[at].recent += 1,
        }
    }

    /// Whether a profile with these may become part of it.
    pub(crate) fn fits_all(&self, theirs: &Identifiers, now: Timestamp) -> bool {
        let mut kinds = self.kinds.iter().zip(&self.of_kind);
        self.total + theirs.len() <= self.total_max
            && kinds.all(|(kind, own)| match kind.limit {
                Limit::One => match (&own.only, theirs.first_of(kind.number)) {
                    (Some(own), Some(theirs)) => **own == *theirs,
                    _ => true,
                },
                Limit::PerWeek(max) => own.recent + recent(theirs, kind, now) <= max,
            })
    }

    /// Adds those of a profile.
    pub(crate) fn add_all(&mut self, theirs: &Identifiers, now: Timestamp) {
        self.total += theirs.len();
        for (kind, own) in self.kinds.iter().zip(&mut self.of_kind) {
            match kind.limit {
                Limit::One if own.only.is_none() => {
                    own.only = theirs.first_of(kind.number).map(Into::into);
                }
                Limit::One => {}
                Limit::PerWeek(_) => own.recent += recent(theirs, kind, now),
            }
        }
    }

    fn at(&self, kind: &Kind) -> Option<usize> {
        self.kinds.iter().position(|own| own.number == kind.number)
    }
}

fn recent(theirs: &Identifiers, kind: &Kind, now: Timestamp) -> usize {
    let ties = theirs.ties();
    ties.filter(|(namespace, added_at)| {
        *namespace as u8 == kind.number && now.since(*added_at) < WEEK_MS
    })
    .count()
}

#[cfg(test)]
mod tests {
    use tidegate_event::record::Namespace;

    use super::*;
    use crate::identity::kinds::{ANONYMOUS_ID, KINDS, USER_ID};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    /// A kind that is declared here and nowhere else.
    const CARD: Kind = Kind {
        number: 200,
        member: "card",
        key: b'c',
        bytes_max: 19,
        limit: Limit::PerWeek(2),
        is_blocked: |id| id == "0000",
    };
    const WITH_CARD: &[Kind] = &[USER_ID, CARD, ANONYMOUS_ID];

    fn known(ids: &[(Namespace, &str, Timestamp)]) -> Identifiers {
        let mut known = Identifiers::default();
        for (namespace, value, at) in ids {
            known.push(*namespace, *at, value);
        }
        known
    }

    #[test]
    fn a_kind_that_is_declared_once_has_its_limit() {
        let mut tally = Tally::new(WITH_CARD, 50);
        for card in ["1", "2"] {
            assert!(tally.fits(&CARD));
            tally.add(&CARD, card);
        }
        assert!(!tally.fits(&CARD), "two a week");
        assert!(tally.fits(&USER_ID) && tally.fits(&ANONYMOUS_ID));
        assert!(!Tally::new(KINDS, 50).fits(&CARD), "not in that table");
    }

    #[test]
    fn two_persons_do_not_become_one() {
        let mut tally = Tally::new(KINDS, 50);
        let ada = known(&[(Namespace::UserId, "ada", NOW)]);
        tally.add_all(&ada, NOW);
        assert!(!tally.fits(&USER_ID));
        assert!(tally.fits_all(&ada, NOW));
        assert!(!tally.fits_all(&known(&[(Namespace::UserId, "bob", NOW)]), NOW));
    }

    #[test]
    fn devices_count_for_a_week_and_identifiers_for_ever() {
        let old = NOW.plus_ms(-WEEK_MS);
        let devices = |at: Timestamp| {
            let names = ["a", "b", "c"];
            known(&names.map(|name| (Namespace::AnonymousId, name, at)))
        };
        let mut tally = Tally::new(KINDS, 7);
        tally.add_all(&devices(NOW), NOW);
        assert!(!tally.fits_all(&devices(NOW), NOW), "six devices");
        assert!(tally.fits_all(&devices(old), NOW));
        tally.add_all(&devices(old), NOW);
        assert!(tally.fits(&ANONYMOUS_ID));
        tally.add(&ANONYMOUS_ID, "d");
        assert!(!tally.fits(&USER_ID), "seven identifiers");
    }
}
