//! `[kafka]`: where records are sent. Without this section they are sent nowhere.

use super::declare::When::Restart;
use super::declare::{Optional, key, section};
use super::kind::{COUNT_MAX, Kind, number, quoted, text};
use crate::document::{Found, Reason, Section};

section! {
    /// `[kafka]`
    pub struct Kafka {
        /// Brokers to connect to first. Without this section nothing is sent to Kafka.
        brokers: String = String::new()
            => key("kafka.brokers", Restart, brokers()).unset(r#""127.0.0.1:9092""#),

        /// Topic of events, keyed by profile.
        topic: String = "tidegate.events".to_owned() => key("kafka.topic", Restart, topic()),

        /// Topic of segment transitions, keyed by profile.
        transitions_topic: String = "tidegate.transitions".to_owned()
            => key("kafka.transitions_topic", Restart, topic()),

        /// Records handed to the producer and not yet acknowledged.
        in_flight_max: usize = 100_000
            => key("kafka.in_flight_max", Restart, number(1..=10_000_000)),

        /// Records kept that Kafka refused for good; the oldest are removed.
        dead_letters_max: usize = 10_000
            => key("kafka.dead_letters_max", Restart, number(0..=COUNT_MAX)),

        /// Further librdkafka properties, passed on unchanged. Properties that durability and order
        /// depend on (`acks`, idempotence, timeouts) are refused.
        properties: Vec<(String, String)> = Vec::new()
            => key("kafka.properties", Restart, properties())
                .unset(r#"{ "compression.type" = "lz4" }"#),
    }
}

/// Required where the section is there.
fn brokers() -> Kind<String> {
    Kind::new(
        |at| {
            let found = if at.section.is_present() {
                let example = "brokers = \"kafka-1:9092,kafka-2:9092\"";
                at.section.require(at.name, example)?
            } else {
                at.get()?
            };
            let given = found.words()?;
            if given.split(',').all(is_broker) {
                return Some(given);
            }
            found.fault(Reason::Form {
                given,
                form: "a list of brokers with their ports",
                example: "\"kafka-1:9092,kafka-2:9092\"",
            });
            None
        },
        quoted,
    )
}

fn is_broker(broker: &str) -> bool {
    broker.trim().rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(|c: char| c.is_whitespace() || c == '/')
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn topic() -> Kind<String> {
    let form = "a topic name of 1 to 249 letters, digits, \".\", \"_\" or \"-\"";
    text(is_topic, form, "\"tidegate.events\"")
}

/// As Kafka allows them.
fn is_topic(name: &str) -> bool {
    let legal = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".."
}

/// A table whose keys are free, but for the reserved ones.
fn properties() -> Kind<Vec<(String, String)>> {
    Kind::new(
        |at| {
            let properties = at.section.section(at.name).free_keys().into_iter();
            let read = |(name, found): (String, Found<'_>)| {
                let value = property(&name, &found)?;
                Some((name, value))
            };
            Some(properties.filter_map(read).collect())
        },
        |properties: &Vec<(String, String)>| {
            let pairs: Vec<String> = properties
                .iter()
                .map(|(name, value)| format!("{name:?} = {value:?}"))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        },
    )
}

/// The value of a producer property; None, with an error, if it may not be set.
fn property(name: &str, found: &Found<'_>) -> Option<String> {
    if let Some((_, instead)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
        found.fault(Reason::Reserved { instead: *instead });
        return None;
    }
    found.scalar()
}

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

impl Optional for Kafka {
    fn whole(self, section: &Section<'_>) -> Option<Self> {
        section.is_present().then_some(self)
    }
}

impl Kafka {
    /// `[kafka]` with nothing but its brokers.
    #[must_use]
    pub fn with_brokers(brokers: String) -> Self {
        Self {
            brokers,
            ..Self::default()
        }
    }

    /// Checks that the topics differ.
    pub(super) fn check(&self, section: &Section<'_>) {
        if self.topic == self.transitions_topic {
            section.fault(
                "transitions_topic",
                Reason::Excludes {
                    other: "the same kafka.topic",
                    remedy: "give events and transitions a topic each",
                },
            );
        }
    }
}
