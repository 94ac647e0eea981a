//! Hits and their source, for the tests of single steps and for the simulation.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};
use tidegate_event::consent::{Consent, ConsentSignal, Purposes};
use tidegate_event::hit::Object;
use tidegate_event::identity::Identifiers;
use tidegate_event::{
    Campaign, Enriched, EventType, Geo, Hit, Identity, Json, Page, Profiling, Sealed, SentIds,
    Timestamp,
};

use crate::catalog::{Source, SourceKind};
use crate::consent::{self, Signals};
use crate::pipeline::decode::Limits;
use crate::protocols::native;

/// A web source that is granted consent by default.
pub(crate) fn source(session_gap_ms: u32) -> Source {
    Source {
        session_gap_ms,
        conversions: vec!["Order Completed".to_owned()],
        ..Source::web("shop", "key")
    }
}

/// The one event of a body, as the tag's protocol is decoded.
pub(crate) fn hit(body: &str) -> Hit<'_> {
    let limits = Limits {
        event_bytes_max: 32 << 10,
        batch_events_max: 10,
        members_max: 1_000,
        lent_bytes_max: 16 << 20,
    };
    let envelope = native::read(body.as_bytes(), &limits).unwrap();
    envelope.decode().next().unwrap().hit.unwrap()
}

/// The identifiers of a hit, by a consent that allows everything.
pub(crate) fn sent<'h, 'a>(hit: &'h Hit<'a>) -> &'h SentIds<'a> {
    hit.ids.open(profiling())
}

/// The proof of a consent that allows everything.
pub(crate) fn profiling() -> Profiling {
    GRANTED.profiling().unwrap()
}

/// A consent that allows everything.
const GRANTED: Consent = Consent {
    purposes: Purposes::GRANTED,
    signal: ConsentSignal("default"),
    gpc: false,
};

/// What a request with these headers says.
pub(crate) fn signals(headers: &[(&'static str, &'static str)], source: &Source) -> Signals {
    let headers = headers.iter().map(|(name, value)| {
        let name = HeaderName::from_static(name);
        (name, HeaderValue::from_static(value))
    });
    let request = consent::Request {
        headers: &headers.collect(),
        word: None,
    };
    Signals::of(&request, source)
}

/// A server of the same shop, whose events belong to no session.
pub(crate) fn server_source(session_gap_ms: u32) -> Source {
    Source {
        name: "crm".to_owned(),
        kind: SourceKind::Server,
        ..source(session_gap_ms)
    }
}

/// A page view; with a name an event, or the `identify`, `group` or `alias` call.
#[derive(Clone, Default)]
pub(crate) struct TestHit {
    pub(crate) message_id: Option<String>,
    pub(crate) anonymous_id: Option<String>,
    pub(crate) user_id: Option<String>,
    /// The second id of an alias.
    pub(crate) previous_id: Option<String>,
    /// The cookie's id, beside an id of the sender's own.
    pub(crate) cookie_id: Option<String>,
    /// Without consent to any identifier.
    pub(crate) is_anonymous: bool,
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) properties: String,
    pub(crate) traits: String,
    pub(crate) late_ms: i64,
}

impl TestHit {
    pub(crate) fn page(anonymous_id: &str, path: &'static str) -> Self {
        Self {
            anonymous_id: Some(anonymous_id.to_owned()),
            path,
            ..Self::default()
        }
    }

    pub(crate) fn track(anonymous_id: &str, name: &'static str) -> Self {
        Self {
            anonymous_id: Some(anonymous_id.to_owned()),
            name,
            ..Self::default()
        }
    }

    pub(crate) fn identify(anonymous_id: &str, user_id: &str) -> Self {
        Self {
            anonymous_id: Some(anonymous_id.to_owned()),
            user_id: Some(user_id.to_owned()),
            name: "identify",
            ..Self::default()
        }
    }

    pub(crate) fn alias(user_id: &str, previous_id: &str) -> Self {
        Self {
            user_id: Some(user_id.to_owned()),
            previous_id: Some(previous_id.to_owned()),
            name: "alias",
            ..Self::default()
        }
    }

    pub(crate) fn of_user(self, user_id: &str) -> Self {
        let user_id = Some(user_id.to_owned());
        Self { user_id, ..self }
    }

    fn kind(&self) -> EventType {
        match self.name {
            "" => EventType::Page,
            "identify" => EventType::Identify,
            "group" => EventType::Group,
            "alias" => EventType::Alias,
            _ => EventType::Track,
        }
    }

    fn named(&self, id: &Option<String>) -> Option<Cow<'_, str>> {
        let id = id.clone().filter(|_| !self.is_anonymous);
        id.map(Cow::Owned)
    }

    fn consent(&self) -> Consent {
        let purposes = match self.is_anonymous {
            true => Purposes::ANONYMOUS,
            false => Purposes::GRANTED,
        };
        Consent {
            purposes,
            ..GRANTED
        }
    }

    fn identity(&self) -> Identity<'_> {
        if self.is_anonymous {
            return Identity::Anonymous;
        }
        Identity::Known(Identifiers {
            anonymous_id: self.named(&self.anonymous_id),
            user_id: self.named(&self.user_id),
            linked_cookie_id: self.named(&self.cookie_id),
            previous_id: self.named(&self.previous_id),
            minted: false,
        })
    }

    pub(crate) fn enriched(&self, now: Timestamp) -> Enriched<'_> {
        let cow = |id: &'_ Option<String>| self.named(id);
        Enriched {
            hit: Hit {
                kind: self.kind(),
                name: Cow::Borrowed(if self.kind() == EventType::Track {
                    self.name
                } else {
                    ""
                }),
                message_id: self.message_id.clone().map(Cow::Owned),
                ids: Sealed::new(SentIds {
                    anonymous_id: cow(&self.anonymous_id),
                    user_id: cow(&self.user_id),
                    previous_id: cow(&self.previous_id),
                }),
                occurred_at: None,
                sent_at: None,
                timestamp_as_sent: None,
                server_channel: false,
                context: Object::empty(),
                properties: object(&self.properties),
                traits: object(&self.traits),
                lent_consents: Vec::new(),
            },
            consent: self.consent(),
            identity: self.identity(),
            received_at: now,
            event_time: now.plus_ms(-self.late_ms),
            clamped: false,
            geo: Geo::default(),
            device: std::sync::Arc::default(),
            campaign: Campaign::default(),
            page: Page {
                path: (!self.path.is_empty()).then_some(Cow::Borrowed(self.path)),
                ..Page::default()
            },
            ip_truncated: None,
            user_agent: None,
        }
    }
}

fn object(text: &str) -> Object<'_> {
    if text.is_empty() {
        return Object::empty();
    }
    Object {
        raw: Cow::Borrowed(text),
        value: serde_json::from_str::<Json<'_>>(text).unwrap(),
    }
}
