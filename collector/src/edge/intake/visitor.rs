//! The visitor's cookie across one request: read at most once and only after consent allows it,
//! minted at most once, set at most once.

use http::HeaderMap;
use http::HeaderValue;
use rand::TryRngCore;
use rand::rngs::OsRng;
use tidegate_event::{Consented, Identified, Identity, Profiling};

use crate::catalog::{Source, SourceKind};
use crate::edge::cookie::{CookieRule, Embedding};
use crate::edge::request::RawHit;
use crate::edge::terms::Terms;
use crate::identity::{self, CookieAction, CookieFacts, Placeholders};
use crate::pipeline::decode::Envelope;

/// One request's visitor.
pub(super) struct Visitor<'r> {
    rule: &'r CookieRule,
    placeholders: &'r Placeholders,
    headers: &'r HeaderMap,
    embedding: Embedding,
    distinct_anonymous_ids: usize,
    /// Read on first use: consent comes first.
    brought: Option<Option<&'r str>>,
    minted: Option<u128>,
    minted_is_stored: bool,
    set: Option<String>,
}

impl<'r> Visitor<'r> {
    pub(super) fn of(terms: &'r Terms, hit: &RawHit<'r>, envelope: &Envelope<'_>) -> Self {
        Self {
            rule: &terms.cookie,
            placeholders: &terms.placeholders,
            headers: hit.headers,
            embedding: Embedding::of(hit),
            distinct_anonymous_ids: envelope.distinct_anonymous_ids(),
            brought: None,
            minted: None,
            minted_is_stored: false,
            set: None,
        }
    }

    /// Step 3 for one event of the request.
    pub(super) fn identify(&mut self, consented: Consented<'r>, source: &Source) -> Identified<'r> {
        let allowed = source.kind == SourceKind::Web && !consented.hit.server_channel;
        let profiling = consented.consent.profiling().filter(|_| allowed);
        let facts = CookieFacts {
            brought: profiling.and_then(|profiling| self.brought(profiling)),
            distinct_anonymous_ids_in_request: self.distinct_anonymous_ids,
            allowed,
        };
        let minted = &mut self.minted;
        // One browser is one visitor; events of a back end have nothing in common.
        let mut mint = || match minted {
            _ if !allowed => random_id(),
            Some(id) => *id,
            None => *minted.insert(random_id()),
        };
        let (mut identified, action) =
            identity::identify(consented, &facts, self.placeholders, &mut mint);
        if let CookieAction::Set(id) = action {
            self.set = Some(id);
        }
        if let Identity::Known(ids) = &mut identified.identity
            && ids.minted
            && allowed
        {
            // From the second event on the minted id may be known, so it has to be looked up.
            ids.minted = !std::mem::replace(&mut self.minted_is_stored, true);
        }
        identified
    }

    /// `Set-Cookie`, where an event of the request asked for it.
    pub(super) fn set_cookie(&self) -> Option<HeaderValue> {
        self.rule.set(self.set.as_deref()?, self.embedding)
    }

    fn brought(&mut self, profiling: Profiling) -> Option<&'r str> {
        *self
            .brought
            .get_or_insert_with(|| self.rule.read(self.headers, self.embedding, profiling))
    }
}

fn random_id() -> u128 {
    let mut bytes = [0; 16];
    OsRng
        .try_fill_bytes(&mut bytes)
        .expect("the operating system has random bytes");
    u128::from_be_bytes(bytes)
}
