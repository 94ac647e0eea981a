//! Hits of a few visitors who enter and leave segments, end their sessions and come back, sign in on
//! each other's devices, and are found to be one person.

use rand::Rng;
use rand::rngs::SmallRng;

use crate::catalog::{Catalog, Segment, Source};
use crate::fixture::{self, TestHit};

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

/// The website's tag, or a server.
fn source(is_server: bool) -> Source {
    if is_server {
        fixture::server_source(SESSION_GAP_MS)
    } else {
        fixture::source(SESSION_GAP_MS)
    }
}

/// A hit and its source, now and then a late one.
pub(super) fn hit(random: &mut SmallRng) -> (Source, TestHit) {
    let device = format!("device-{}", random.random_range(0..VISITORS));
    let user = format!("user-{}", random.random_range(0..VISITORS / 2));
    let page = TestHit::page(&device, PATHS[random.random_range(0..3)]);
    let mut hit = match random.random_range(0..40) {
        0..20 => page,
        20..30 => TestHit::track(&device, EVENTS[random.random_range(0..2)]),
        30..34 => TestHit::identify(&device, &user),
        34..36 => TestHit::alias(&user, &device),
        36..38 => TestHit {
            cookie_id: Some(format!("cookie-{}", random.random_range(0..VISITORS))),
            ..page
        },
        _ => TestHit {
            is_anonymous: true,
            ..page
        },
    };
    if random.random_bool(0.1) {
        hit.late_ms = random.random_range(0..90_000);
    }
    hit.message_id = Some(format!("{:032x}", random.random::<u128>()));
    (source(random.random_bool(0.1)), hit)
}
