//! Who plays in the demo: its source, its segments, its one destination, and settings that keep
//! everything on this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use tidegate_activation::destinations::webhook;

use crate::catalog::{Catalog, Destination, DestinationKind, Segment, Source};
use crate::settings::{Cidr, Settings};

const HOUR_MS: u64 = 3_600_000;

/// The segments, from the plainest to the one that waits.
const SEGMENTS: [(&str, &str); 6] = [
    (
        "pricing-interested",
        r#"count(page.path.startsWith("/pricing"), "30d") >= 1"#,
    ),
    ("engaged", "session.page_views >= 3"),
    (
        "comparing",
        r#"distinct(page.path, page.path.startsWith("/product/"), "1h") >= 2"#,
    ),
    (
        "cart-abandoned",
        r#"absent(event.name == "Order Completed", event.name == "Product Added", "20s")"#,
    ),
    (
        "buyers",
        r#"count(event.name == "Order Completed", "30d") >= 1"#,
    ),
    ("returning", "session.index >= 2"),
];

/// The demo's catalog: `shop` may read its visitors' segments, `ads` hears of every change.
pub(crate) fn catalog(shop: &str, ads: SocketAddr, secret: &str) -> Catalog {
    let segments = SEGMENTS.map(|(name, when)| Segment {
        name: name.to_owned(),
        when: when.to_owned(),
        wake_up_max_delay_ms: 24 * HOUR_MS,
    });
    Catalog {
        sources: vec![Source {
            origins: vec![shop.to_owned()],
            conversions: vec!["Order Completed".to_owned()],
            ..Source::web("demo", "demo")
        }],
        destinations: vec![Destination {
            name: "ad-server".to_owned(),
            segments: segments
                .iter()
                .map(|segment| segment.name.clone())
                .collect(),
            kind: callbacks(ads, secret),
        }],
        segments: segments.into(),
        ..Catalog::default()
    }
}

fn callbacks(ads: SocketAddr, secret: &str) -> DestinationKind {
    let mut kind = webhook::kind(&format!("http://{ads}/audience"), secret);
    for (key, number) in [("rps", 100), ("concurrency", 4), ("timeout", 5_000)] {
        kind.set(key, number);
    }
    kind
}

/// Settings for a gateway that never leaves loopback.
pub(crate) fn settings(data_dir: &Path, gateway_port: u16, admin_port: u16) -> Settings {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut settings = Settings {
        data_dir: data_dir.to_owned(),
        ..Settings::default()
    };
    settings.edge.http = loopback(gateway_port);
    settings.admin.listen = loopback(admin_port);
    settings.activation.allow_private = vec![Cidr {
        network: IpAddr::V4(Ipv4Addr::LOCALHOST),
        prefix: 32,
    }];
    // A laptop's disk is not a server's, and its limit of open files neither.
    settings.edge.connections_max = 1_024;
    settings.journal.segment_bytes = 16 << 20;
    settings.journal.disk_budget = 512 << 20;
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_hears_of_every_segment() {
        let catalog = catalog("http://shop", "127.0.0.1:9".parse().unwrap(), "whsec_eA==");
        let names: Vec<_> = catalog.segments.iter().map(|s| s.name.clone()).collect();
        assert_eq!(catalog.destinations[0].segments, names);
    }

    #[test]
    fn nothing_listens_beyond_loopback() {
        let settings = settings(Path::new("/nowhere"), 8080, 9180);
        assert!(settings.edge.http.ip().is_loopback());
        assert!(settings.admin.listen.ip().is_loopback());
        assert!(settings.kafka.is_none());
    }
}
