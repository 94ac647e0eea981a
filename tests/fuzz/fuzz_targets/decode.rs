//! Whatever a client sends, steps 1 to 4 and the record's writer neither panic nor write a broken
//! line, and the reservation suffices.
//!
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz decode`

#![no_main]

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use tidegate_collector::catalog::{ConsentDefault, Source, SourceKind};
use tidegate_collector::consent::{Signals, resolve};
use tidegate_collector::pipeline::decode::{Envelope, Limits};
use tidegate_collector::pipeline::enrich::{DeviceLookup, GeoLookup, RequestFacts, enrich};
use tidegate_collector::identity::{CookieFacts, Placeholders, identify};
use tidegate_collector::pipeline::record_json;
use tidegate_collector::protocols::{native, pixel};
use tidegate_event::record::{EventFold, Fold, Record};
use tidegate_event::{Device, Geo, Identity, Json, Purposes, Timestamp};

const LIMITS: Limits = Limits {
    event_bytes_max: 32 << 10,
    batch_events_max: 100,
    members_max: 1_000,
    lent_bytes_max: 16 << 20,
};

struct Nowhere;

impl GeoLookup for Nowhere {
    fn lookup(&self, _: IpAddr) -> Geo {
        Geo::default()
    }
}

impl DeviceLookup for Nowhere {
    fn device(&self, _: &str, _: Timestamp) -> Arc<Device> {
        Arc::default()
    }
}

fn source(anonymous: bool) -> Source {
    Source {
        consent_default: if anonymous {
            ConsentDefault::Anonymous
        } else {
            ConsentDefault::Granted
        },
        ..Source::web("fuzz", "")
    }
}

fn check(envelope: Envelope<'_>, source: &Source) {
    for event in envelope.decode() {
        let Ok(hit) = event.hit else { continue };
        let Ok(consented) = resolve(hit, &Signals::default(), source) else {
            continue;
        };
        let (identified, _) = identify(consented, &CookieFacts::default(), &Placeholders::default(), &mut || 1);
        let facts = RequestFacts {
            received_at: Timestamp(1_795_348_800_000),
            client_ip: Some(IpAddr::from([192, 0, 2, 1])),
            user_agent: None,
            referer: None,
            from_back_end: source.kind == SourceKind::Server,
        };
        let hit = enrich(identified, &facts, &Nowhere);
        let (anonymous_id, user_id) = match &hit.identity {
            Identity::Known(ids) => (ids.anonymous_id.as_deref(), ids.user_id.as_deref()),
            Identity::Anonymous => (None, None),
        };
        let record = Record {
            generation: 1,
            decided_at: facts.received_at,
            profile: None,
            anonymous_id,
            user_id,
            source: "fuzz",
            kind: hit.hit.kind.as_str(),
            event: &hit.hit.name,
            message_id: hit.hit.message_id.as_deref().unwrap_or("m"),
            event_time: hit.event_time,
            purposes: Purposes::ANONYMOUS,
            transitions: Vec::new(),
            fold: Fold::Event(EventFold::default()),
        };
        let mut line = b"{".to_vec();
        record_json::write_event(&mut line, &record, &hit, false);
        assert!(line.len() <= record_json::event_bytes_max(&hit));
        assert!(!line.contains(&b'\n'));
        serde_json::from_slice::<Json<'_>>(&line).expect("a record is JSON");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, body)) = data.split_first() else {
        return;
    };
    let source = source(mode & 1 == 1);
    if mode & 2 == 0 {
        if let Ok(envelope) = native::read(body, &LIMITS) {
            check(envelope, &source);
        }
    } else if let Ok(query) = std::str::from_utf8(body) {
        let kept = OnceLock::new();
        if let Ok(envelope) = pixel::read(query, &LIMITS, &kept) {
            check(envelope, &source);
        }
    }
});
