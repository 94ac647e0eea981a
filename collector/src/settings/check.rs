//! What two settings say together, and the producer properties that may not be touched.

use super::{Ack, Settings, paths};
use crate::document::{Found, Reader, Reason, Section};

/// Producer properties that the gateway sets itself, with the setting that stands for each.
const RESERVED: [(&str, Option<&str>); 14] = [
    ("bootstrap.servers", Some("kafka.brokers")),
    ("metadata.broker.list", Some("kafka.brokers")),
    ("acks", None),
    ("request.required.acks", None),
    ("enable.idempotence", None),
    ("enable.gapless.guarantee", None),
    ("message.timeout.ms", None),
    ("delivery.timeout.ms", None),
    ("max.in.flight", None),
    ("max.in.flight.requests.per.connection", None),
    ("message.send.max.retries", None),
    ("retries", None),
    ("transactional.id", None),
    ("queue.buffering.max.messages", Some("kafka.in_flight_max")),
];

/// Notes what the settings cannot mean together.
pub(super) fn together(settings: &Settings, reader: &Reader<'_>) {
    let root = reader.root();
    let edge = root.section("edge");
    if settings.edge.ack == Ack::Kafka && settings.kafka.is_none() {
        edge.fault(
            "ack",
            Reason::Needs {
                needs: "[kafka]",
                remedy: "add [kafka] with brokers, or write ack = \"journal\"",
            },
        );
    }
    if settings.edge.buffered_bytes_max < settings.edge.body_bytes_max.saturating_mul(2) {
        edge.fault(
            "buffered_bytes_max",
            Reason::Needs {
                needs: "to hold the largest body twice, as sent and as inflated",
                remedy: "raise it to twice edge.body_bytes_max or more",
            },
        );
    }
    if settings.edge.event_bytes_max > settings.edge.body_bytes_max {
        edge.fault(
            "event_bytes_max",
            Reason::Needs {
                needs: "edge.body_bytes_max to be at least as large",
                remedy: "raise edge.body_bytes_max or lower this",
            },
        );
    }
    tls(settings, &edge);
    paths::collisions(settings, &edge);
    host_cookie(settings, &root.section("cookie"));
    let journal = root.section("journal");
    if settings.journal.disk_budget < 4 * settings.journal.segment_bytes {
        journal.fault(
            "disk_budget",
            Reason::Needs {
                needs: "room for four segments",
                remedy: "raise it to 4 times journal.segment_bytes, or lower journal.segment_bytes",
            },
        );
    }
    outbox(settings, &root.section("activation"));
    listeners(settings, &root);
    if let Some(kafka) = &settings.kafka
        && kafka.topic == kafka.transitions_topic
    {
        root.section("kafka").fault(
            "transitions_topic",
            Reason::Excludes {
                other: "the same kafka.topic",
                remedy: "give events and transitions a topic each",
            },
        );
    }
}

/// One destination's part of the outbox is a part of it.
fn outbox(settings: &Settings, activation: &Section<'_>) {
    if settings.activation.destination_rows_max > settings.activation.outbox_rows_max {
        activation.fault(
            "destination_rows_max",
            Reason::Needs {
                needs: "activation.outbox_rows_max to be at least as large",
                remedy: "raise activation.outbox_rows_max or lower this",
            },
        );
    }
}

/// What ACME rests on, and keys that say nothing without a TLS listener.
fn tls(settings: &Settings, edge: &Section<'_>) {
    let acme = &settings.edge.tls.acme;
    if !acme.domains.is_empty() && !acme.terms_agreed {
        edge.section("tls").section("acme").fault(
            "domains",
            Reason::Needs {
                needs: "edge.tls.acme.terms_agreed",
                remedy: "read the authority's terms of service, then add terms_agreed = true",
            },
        );
    }
    // One that cannot be read is there all the same.
    if settings.edge.https.is_some() || edge.get("https").is_some() {
        return;
    }
    let needless = Reason::Needs {
        needs: "edge.https",
        remedy: "add https = \"0.0.0.0:8443\" to [edge], or remove this",
    };
    if settings.edge.tls.pair.is_some() || !settings.edge.tls.certificates.is_empty() {
        let tls = edge.section("tls");
        let key = if settings.edge.tls.pair.is_some() {
            "cert"
        } else {
            "certificates"
        };
        tls.fault(key, needless.clone());
    }
    if !acme.domains.is_empty() {
        let section = edge.section("tls").section("acme");
        section.fault("domains", needless.clone());
    }
    if settings.edge.proxy_protocol.https {
        edge.fault("proxy_protocol", needless);
    }
}

fn host_cookie(settings: &Settings, cookie: &Section<'_>) {
    if settings.cookie.name.starts_with("__Host-") && settings.cookie.domain.is_some() {
        cookie.fault(
            "domain",
            Reason::Excludes {
                other: "a cookie.name that begins with __Host-",
                remedy: "browsers refuse it: remove domain, or write name = \"tg_vid\"",
            },
        );
    }
}

fn listeners(settings: &Settings, root: &Section<'_>) {
    let admin = root.section("admin");
    let own = &settings.admin;
    if !own.listen.ip().is_loopback() && own.token_file.is_none() && !own.is_mutual() {
        admin.fault(
            "listen",
            Reason::Needs {
                needs: "admin.token_file or admin.tls.client_ca where it is not loopback",
                remedy: "add token_file = \"admin.token\", or listen on 127.0.0.1:9180",
            },
        );
    }
    let own = settings.admin.listen;
    for (edge, other) in [
        (Some(settings.edge.http), "the same edge.http"),
        (settings.edge.https, "the same edge.https"),
    ] {
        if own.port() != 0 && edge == Some(own) {
            admin.fault(
                "listen",
                Reason::Excludes {
                    other,
                    remedy: "write another port, such as 9180",
                },
            );
        }
    }
    if settings.edge.http.port() != 0 && settings.edge.https == Some(settings.edge.http) {
        root.section("edge").fault(
            "https",
            Reason::Excludes {
                other: "the same edge.http",
                remedy: "write another port, such as 8443",
            },
        );
    }
}

/// The value of a producer property; None, with the mistake noted, where it may not be set.
pub(super) fn kafka_property(name: &str, found: &Found<'_>) -> Option<String> {
    if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        found.fault(Reason::Reserved { instead: *instead });
        return None;
    }
    found.scalar()
}
