//! Step 3: which identifiers a hit may use, and what happens to the first-party cookie. Finding or
//! merging profiles is not done here; linking only names the candidates.

use std::borrow::Cow;

use super::kinds::{ANONYMOUS_ID, USER_ID};
use super::placeholder::{Placeholders, is_placeholder};
use tidegate_event::hit::Object;
use tidegate_event::identity::Identifiers;
use tidegate_event::{Consented, Hit, Identified, Identity, Sealed, SentIds};

/// What the edge knows about the request's cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieFacts<'a> {
    /// The id the request brought, where [`is_cookie_id`] holds.
    pub brought: Option<&'a str>,
    /// Different anonymousIds among the request's events.
    pub distinct_anonymous_ids_in_request: usize,
    /// A web source and no server channel: only then is a cookie read or set.
    pub allowed: bool,
}

/// What the answer does to the cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CookieAction {
    /// Nothing.
    Keep,
    /// Set it to this freshly minted id.
    Set(String),
}

/// The text of a minted id: 32 hexadecimal digits, lower case.
#[must_use]
pub fn cookie_id(bits: u128) -> String {
    format!("{bits:032x}")
}

/// Whether the text is an id that we could have minted.
#[must_use]
pub fn is_cookie_id(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && !is_placeholder(text)
}

/// Names the candidate identifiers. `mint` gives 128 random bits; it is called at most once, and
/// only where an id is needed. Events of one request that must share a minted id share what `mint`
/// gives.
///
/// With anonymous consent the cookie is neither read nor set, nothing is minted, and the hit leaves
/// without ids and traits.
pub fn identify<'a>(
    consented: Consented<'a>,
    cookie: &CookieFacts<'a>,
    placeholders: &Placeholders,
    mint: &mut dyn FnMut() -> u128,
) -> (Identified<'a>, CookieAction) {
    let named = consented.identifiers().map(|sent| {
        let allowed = cookie.allowed && !consented.hit.server_channel;
        identifiers(sent, allowed, cookie, placeholders, mint)
    });
    let Consented { hit, consent } = consented;
    let (hit, identity, action) = match named {
        Some((identifiers, action)) => (hit, Identity::Known(identifiers), action),
        None => (
            without_identifiers(hit),
            Identity::Anonymous,
            CookieAction::Keep,
        ),
    };
    let identified = Identified {
        hit,
        consent,
        identity,
    };
    (identified, action)
}

fn without_identifiers(mut hit: Hit<'_>) -> Hit<'_> {
    hit.ids = Sealed::default();
    hit.traits = Object::empty();
    hit
}

fn identifiers<'a>(
    sent: &SentIds<'a>,
    allowed: bool,
    cookie: &CookieFacts<'a>,
    placeholders: &Placeholders,
    mint: &mut dyn FnMut() -> u128,
) -> (Identifiers<'a>, CookieAction) {
    let named = |kind, id: &Option<Cow<'a, str>>| {
        let id = id.as_ref().filter(|id| !placeholders.block(kind, id));
        id.cloned()
    };
    let brought = cookie.brought.filter(|_| allowed).map(Cow::Borrowed);
    let own = named(&ANONYMOUS_ID, &sent.anonymous_id);
    let user_id = named(&USER_ID, &sent.user_id);
    let mut identifiers = Identifiers {
        previous_id: named(&ANONYMOUS_ID, &sent.previous_id),
        user_id,
        ..Identifiers::default()
    };
    let is_new = allowed && brought.is_none();
    match (own, brought) {
        (Some(own), brought) => {
            identifiers.linked_cookie_id = brought
                .filter(|_| cookie.distinct_anonymous_ids_in_request == 1)
                .filter(|brought| *brought != own);
            identifiers.anonymous_id = Some(own);
        }
        (None, brought) => identifiers.anonymous_id = brought,
    }
    let is_nobody = identifiers.anonymous_id.is_none() && identifiers.user_id.is_none();
    if !is_new && !is_nobody {
        return (identifiers, CookieAction::Keep);
    }
    let id = cookie_id(mint());
    if is_nobody {
        // The event's only id; else it is stored nowhere until the browser brings it back.
        identifiers.anonymous_id = Some(Cow::Owned(id.clone()));
        identifiers.minted = true;
    }
    let action = if is_new {
        CookieAction::Set(id)
    } else {
        CookieAction::Keep
    };
    (identifiers, action)
}
