//! Hits of a few visitors who enter and leave segments, end their sessions and come back.

use std::borrow::Cow;

use rand::Rng;
use rand::rngs::SmallRng;
use tidegate_event::consent::{Consent, ConsentSignal, ConsentState};
use tidegate_event::hit::Object;
use tidegate_event::identity::Identifiers;
use tidegate_event::{Campaign, Device, Enriched, EventType, Geo, Hit, Identity, Page, Timestamp};

use crate::catalog::{Catalog, ConsentDefault, GpcPolicy, Segment, Source, SourceKind};

const VISITORS: u32 = 10;
const PATHS: [&str; 3] = ["/", "/pricing", "/pricing/pro"];
const EVENTS: [&str; 2] = ["Cart", "Order Completed"];
/// Milliseconds; some sessions end within one life.
const SESSION_GAP_MS: u32 = 60_000;

/// The segments of the two catalogs that the simulation applies in turn.
const SEGMENTS: [&[(&str, &str)]; 2] = [
    &[
        (
            "pricing",
            r#"page.path.startsWith("/pricing") && session.page_views >= 2"#,
        ),
        ("busy", r#"count(event.type == "page", "30m") >= 3"#),
        (
            "abandoned",
            r#"absent(event.name == "Order Completed", event.name == "Cart", "1m")"#,
        ),
    ],
    &[
        ("busy", r#"count(event.type == "page", "30m") >= 4"#),
        (
            "abandoned",
            r#"absent(event.name == "Order Completed", event.name == "Cart", "1m")"#,
        ),
        ("regulars", "profile.sessions >= 2"),
        ("named", "profile.identified"),
    ],
];

/// One of the two catalogs.
pub(super) fn catalog(which: usize) -> Catalog {
    let segment = |(name, when): &(&str, &str)| Segment {
        name: (*name).to_owned(),
        when: (*when).to_owned(),
        wake_up_max_delay_ms: 86_400_000,
    };
    Catalog {
        segments: SEGMENTS[which].iter().map(segment).collect(),
        ..Catalog::default()
    }
}

pub(super) fn source() -> Source {
    Source {
        name: "shop".to_owned(),
        write_key: "key".to_owned(),
        kind: SourceKind::Web,
        origins: Vec::new(),
        session_gap_ms: SESSION_GAP_MS,
        consent_default: ConsentDefault::Granted,
        gpc: GpcPolicy::Anonymous,
        dnt: false,
        conversions: vec!["Order Completed".to_owned()],
        rate_limit: None,
        consent_map: Default::default(),
    }
}

/// A hit at `now`, now and then a late one.
pub(super) fn hit(random: &mut SmallRng, now: Timestamp) -> Enriched<'static> {
    let device = format!("device-{}", random.random_range(0..VISITORS));
    let (kind, name, user) = match random.random_range(0..10) {
        0..6 => (EventType::Page, "", None),
        6..9 => (EventType::Track, EVENTS[random.random_range(0..2)], None),
        _ => {
            let user = format!("user-{}", random.random_range(0..VISITORS / 2));
            (EventType::Identify, "", Some(user))
        }
    };
    let late_ms = if random.random_bool(0.1) {
        random.random_range(0..90_000)
    } else {
        0
    };
    let path = (kind == EventType::Page).then(|| PATHS[random.random_range(0..3)]);
    let message = format!("{:032x}", random.random::<u128>());
    Enriched {
        hit: Hit {
            kind,
            name: Cow::Borrowed(name),
            message_id: Some(Cow::Owned(message)),
            anonymous_id: Some(Cow::Owned(device.clone())),
            user_id: user.clone().map(Cow::Owned),
            previous_id: None,
            occurred_at: None,
            sent_at: None,
            timestamp_as_sent: None,
            server_channel: false,
            context: Object::empty(),
            properties: Object::empty(),
            traits: Object::empty(),
            lent_consents: Vec::new(),
        },
        consent: Consent {
            state: ConsentState::Granted,
            signal: ConsentSignal::Default,
            gpc: false,
        },
        identity: Identity::Known(Identifiers {
            anonymous_id: Some(Cow::Owned(device)),
            user_id: user.map(Cow::Owned),
            ..Identifiers::default()
        }),
        received_at: now,
        event_time: now.plus_ms(-late_ms),
        clamped: false,
        geo: Geo::default(),
        device: Device::default(),
        campaign: Campaign::default(),
        page: Page {
            path: path.map(Cow::Borrowed),
            ..Page::default()
        },
        ip_truncated: None,
        user_agent: None,
    }
}
