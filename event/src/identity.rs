//! The identifiers that a hit may use, after consent.

use std::borrow::Cow;

use crate::consent::Consent;
use crate::hit::Hit;

/// Who sent the hit, as far as consent lets us ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    /// Journaled without any identifier.
    Anonymous,
    /// At least one identifier.
    Known(Identifiers<'a>),
}

/// The candidate identifiers; blocked values are already gone. At least one is present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identifiers<'a> {
    /// The visitor's anonymousId: the event's own, else the cookie's id, else a minted one.
    /// None only for an event that has a user id and no device.
    pub anonymous_id: Option<Cow<'a, str>>,
    /// The person's id.
    pub user_id: Option<Cow<'a, str>>,
    /// The cookie's id, where the request brought one that is to be linked to the anonymousId.
    pub linked_cookie_id: Option<Cow<'a, str>>,
    /// The second id of an alias.
    pub previous_id: Option<Cow<'a, str>>,
    /// The anonymous id was minted for this request: no profile has it yet, so it is not looked up.
    pub minted: bool,
}

/// A hit with its identifiers.
#[derive(Clone, Debug)]
pub struct Identified<'a> {
    /// The hit.
    pub hit: Hit<'a>,
    /// What may be done with it.
    pub consent: Consent,
    /// Who sent it.
    pub identity: Identity<'a>,
}
