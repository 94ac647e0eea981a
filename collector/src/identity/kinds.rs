//! The kinds of identifiers, one row each: name, bounds, limit, blocked values, place in the stored
//! index. The order of the table is the priority: what a guard leaves out of an event is of the
//! lowest.
//!
//! A new kind is a variant of [`Namespace`], which is stored, and a row here; then the decoder has a
//! member to read.

use tidegate_event::record::Namespace;

use super::placeholder::is_placeholder;

/// Longest identifier, in bytes.
pub(crate) const ID_BYTES_MAX: usize = 200;

/// One kind of identifier.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Of its [`Namespace`], as records have it.
    pub(crate) number: u8,
    /// The member of an event that names it.
    pub(crate) member: &'static str,
    /// What its keys in the stored index begin with.
    pub(crate) key: u8,
    /// Longest value, in bytes.
    pub(crate) bytes_max: usize,
    /// How many of it one profile may have.
    pub(crate) limit: Limit,
    /// Values that name no one, whatever the tenant.
    pub(crate) is_blocked: fn(&str) -> bool,
}

/// How many identifiers of a kind one profile may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// One for ever. Profiles with different ones do not merge.
    One,
    /// So many newly tied ones within a week. Merging profiles add up.
    PerWeek(usize),
}

/// The person's id.
pub(crate) const USER_ID: Kind = Kind {
    number: Namespace::UserId as u8,
    member: "userId",
    key: b'u',
    bytes_max: ID_BYTES_MAX,
    limit: Limit::One,
    is_blocked: is_placeholder,
};

/// A device's id, the cookie's included.
pub(crate) const ANONYMOUS_ID: Kind = Kind {
    number: Namespace::AnonymousId as u8,
    member: "anonymousId",
    key: b'a',
    bytes_max: ID_BYTES_MAX,
    limit: Limit::PerWeek(5),
    is_blocked: is_placeholder,
};

/// Every kind, highest priority first.
pub(crate) const KINDS: &[Kind] = &[USER_ID, ANONYMOUS_ID];

impl Kind {
    /// The row of a stored kind.
    pub(crate) const fn of(namespace: Namespace) -> &'static Self {
        match namespace {
            Namespace::UserId => &USER_ID,
            Namespace::AnonymousId => &ANONYMOUS_ID,
        }
    }

    /// 0 is the highest.
    pub(crate) fn priority(&self) -> usize {
        let others = KINDS.iter();
        others
            .take_while(|other| other.number != self.number)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_row_of_its_own() {
        for namespace in [Namespace::UserId, Namespace::AnonymousId] {
            let kind = Kind::of(namespace);
            assert_eq!(kind.number, namespace as u8);
            let listed = KINDS.iter().filter(|other| other.number == kind.number);
            assert_eq!(listed.count(), 1, "{}", kind.member);
            let keys = KINDS.iter().filter(|other| other.key == kind.key);
            assert_eq!(keys.count(), 1, "{}", kind.member);
        }
    }
}
