//! Checks that involve several keys. A check within one section is in the section's file; checks of
//! several sections are here.

use super::{Ack, Settings};
use crate::document::{Reader, Reason, Section};

/// Runs every check.
pub(super) fn together(settings: &Settings, reader: &Reader<'_>) {
    let root = reader.root();
    let edge = root.section("edge");
    let admin = root.section("admin");
    settings.journal.check(&root.section("journal"));
    settings.edge.check(&edge);
    settings.cookie.check(&root.section("cookie"));
    settings.admin.check(&admin);
    settings.activation.check(&root.section("activation"));
    if let Some(kafka) = &settings.kafka {
        kafka.check(&root.section("kafka"));
    }
    ack_by_kafka(settings, &edge);
    one_listener_an_address(settings, &admin);
}

fn ack_by_kafka(settings: &Settings, edge: &Section<'_>) {
    if settings.edge.ack == Ack::Kafka && settings.kafka.is_none() {
        edge.fault(
            "ack",
            Reason::Needs {
                needs: "[kafka]",
                remedy: "add [kafka] with brokers, or write ack = \"journal\"",
            },
        );
    }
}

fn one_listener_an_address(settings: &Settings, admin: &Section<'_>) {
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
}
