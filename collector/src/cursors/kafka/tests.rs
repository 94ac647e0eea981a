//! The sink against librdkafka's own mock cluster and a real journal. The real broker is in
//! `tests/integration`.

use std::collections::HashMap;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};
use tempfile::TempDir;
use tidegate_event::record::{EventFold, Fold, PAYLOAD_VERSION, Record};
use tidegate_event::{ProfileId, Pulses, Purposes, Timestamp};
use tidegate_journal::{Journal, RealStorage};
use tokio::runtime::Runtime;

use super::*;
use crate::clock::SystemClock;
use crate::unreadable::{self, DIR, Unreadable};

const PARTITIONS: i32 = 4;
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    cluster: MockCluster<'static, DefaultProducerContext>,
    journal: Journal,
    dir: TempDir,
    runtime: Runtime,
    settings: Kafka,
}

impl World {
    fn new() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("events", PARTITIONS, 1).unwrap();
        cluster.create_topic("transitions", PARTITIONS, 1).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let settings = tidegate_journal::Settings {
            segment_bytes: 4 << 20,
            disk_budget: 64 << 20,
            ..tidegate_journal::Settings::default()
        };
        let storage = Arc::new(RealStorage);
        let journal = Journal::open(&dir.path().join("journal"), storage, settings).unwrap();
        Self {
            settings: Kafka {
                brokers: cluster.bootstrap_servers(),
                topic: "events".to_owned(),
                transitions_topic: "transitions".to_owned(),
                in_flight_max: 1_000,
                dead_letters_max: 100,
                properties: vec![("reconnect.backoff.max.ms".to_owned(), "200".to_owned())],
            },
            cluster,
            journal,
            dir,
            runtime: Runtime::new().unwrap(),
        }
    }

    fn source(&self) -> Source {
        let aside = Unreadable::new(self.dir.path(), &mut Registry::default());
        Source::new(self.journal.clone(), aside, unreadable::Consumer::Kafka)
    }

    fn start(&self) -> KafkaSink {
        KafkaSink::start(
            self.settings.clone(),
            self.dir.path(),
            self.source(),
            Arc::new(SystemClock::default()),
            Metrics::default(),
            self.runtime.handle().clone(),
            Pulses::default().register("kafka", 60_000),
        )
        .unwrap()
    }

    /// Journals `count` records of 10 profiles in turn, each with `bytes` of padding.
    fn append(&self, count: u64, bytes: usize) {
        for _ in 0..count {
            let mut room = self.journal.reserve(bytes + 1_024, 1).unwrap();
            let ticket = room.ticket(Timestamp(1_000));
            let record = Record {
                generation: 1,
                decided_at: ticket.decided_at(),
                profile: Some(ProfileId(u128::from(ticket.offset() % 10))),
                anonymous_id: None,
                user_id: None,
                source: "shop",
                kind: "track",
                event: "Viewed",
                message_id: "m",
                event_time: Timestamp(900),
                purposes: Purposes::GRANTED,
                transitions: Vec::new(),
                fold: Fold::Event(EventFold::default()),
            };
            let padding = "x".repeat(bytes);
            let json = format!("\"schema\":1,\"padding\":\"{padding}\"}}");
            let payload = record
                .write(Vec::new(), |out| out.extend_from_slice(json.as_bytes()))
                .unwrap();
            ticket.fill(payload);
        }
        let last = self.journal.next_offset() - 1;
        self.runtime
            .block_on(self.journal.wait_durable(last))
            .unwrap();
    }

    /// Journals a record as an erring build may.
    fn append_bytes(&self, payload: &[u8]) {
        let mut room = self.journal.reserve(payload.len(), 1).unwrap();
        let ticket = room.ticket(Timestamp(1_000));
        let offset = ticket.offset();
        ticket.fill(payload.to_vec());
        self.runtime
            .block_on(self.journal.wait_durable(offset))
            .unwrap();
    }

    fn wait_acked(&self, sink: &KafkaSink, offset: u64) {
        let mut acked = sink.acked();
        let reached = async move {
            let there = acked.wait_for(|acked| *acked >= offset);
            tokio::time::timeout(PATIENCE, there).await.map(|_| ())
        };
        let reached = self.runtime.block_on(reached);
        reached.expect("the cursor did not get there in time");
    }

    /// Journal offsets in the events topic, by key, in the order of their partition.
    fn delivered(&self) -> HashMap<String, Vec<u64>> {
        let mut all: HashMap<String, Vec<u64>> = HashMap::new();
        for (key, value) in self.messages() {
            let value: serde_json::Value = serde_json::from_slice(&value).unwrap();
            all.entry(key)
                .or_default()
                .push(value["offset"].as_u64().unwrap());
        }
        all
    }

    fn messages(&self) -> Vec<(String, Vec<u8>)> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "test")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset("events", partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut ends, mut messages) = (0, Vec::new());
        while ends < PARTITIONS {
            match consumer.poll(PATIENCE).expect("the mock cluster answers") {
                Ok(message) => {
                    assert_eq!(message.headers().unwrap().count(), 4);
                    let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
                    messages.push((key, message.payload().unwrap().to_vec()));
                }
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ends += 1,
                Err(error) => panic!("{error}"),
            }
        }
        messages
    }

    /// Offsets delivered at least once, ascending; checks the order within each key.
    fn delivered_in_order(&self) -> Vec<u64> {
        let mut all = Vec::new();
        for (key, mut offsets) in self.delivered() {
            let mut newest = None;
            offsets.retain(|offset| {
                // A repetition after a restart may step back, but never skips ahead of a first one.
                let first = newest.is_none_or(|newest| *offset > newest);
                newest = newest.max(Some(*offset));
                first
            });
            assert!(offsets.is_sorted(), "{key}: {offsets:?}");
            all.extend(offsets);
        }
        all.sort_unstable();
        all
    }

    fn dead_letters(&self) -> Vec<DeadLetter> {
        list(&dead_letters_dir(self.dir.path()), 1_000).unwrap()
    }
}

fn range(count: u64) -> Vec<u64> {
    (0..count).collect()
}

#[test]
fn every_record_arrives_once_in_order_per_profile_and_the_cursor_follows() {
    let world = World::new();
    let sink = world.start();
    world.append(5_000, 100);
    world.wait_acked(&sink, 5_000);
    assert_eq!(world.delivered_in_order(), range(5_000));
    assert_eq!(sink.metrics().delivered.get(), 5_000);
    assert_eq!(sink.metrics().lag.get(), 0);
    sink.stop();
    let total: usize = world.delivered().values().map(Vec::len).sum();
    assert_eq!(total, 5_000);
}

#[test]
fn a_stop_waits_for_the_acknowledgements_and_a_start_goes_on_behind_them() {
    let world = World::new();
    let sink = world.start();
    world.append(300, 100);
    world.wait_acked(&sink, 1);
    sink.stop();
    world.append(300, 100);
    let sink = world.start();
    world.wait_acked(&sink, 600);
    sink.stop();
    let total: usize = world.delivered().values().map(Vec::len).sum();
    assert_eq!((total, world.delivered_in_order()), (600, range(600)));
}

#[test]
fn with_the_broker_away_the_sink_waits_within_its_bound_and_loses_nothing() {
    let mut world = World::new();
    world.settings.in_flight_max = 50;
    world.cluster.broker_down(1).unwrap();
    let sink = world.start();
    world.append(2_000, 100);
    eventually(|| sink.metrics().in_flight.get() == 50 && sink.metrics().lag.get() == 2_000);
    assert_eq!(*sink.acked().borrow(), 0);
    world.cluster.broker_up(1).unwrap();
    world.wait_acked(&sink, 2_000);
    assert_eq!(world.delivered_in_order(), range(2_000));
    assert_eq!(sink.metrics().last_error(), None);
    sink.stop();
}

#[test]
fn a_stop_does_not_wait_for_a_broker_that_is_away() {
    let world = World::new();
    world.cluster.broker_down(1).unwrap();
    let sink = world.start();
    world.append(10, 100);
    eventually(|| sink.metrics().last_error().is_some());
    sink.stop();
    world.cluster.broker_up(1).unwrap();
    let sink = world.start();
    world.wait_acked(&sink, 10);
    sink.stop();
}

#[test]
fn a_refused_batch_travels_again_one_by_one_and_only_the_refused_one_is_a_dead_letter() {
    let world = World::new();
    world.append(200, 100);
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD;
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &[refusal]);
    let sink = world.start();
    eventually(|| sink.metrics().restarts.get() == 1);
    world.wait_acked(&sink, 200);
    assert_eq!(world.delivered_in_order(), range(200));
    assert_eq!(world.dead_letters(), []);
    eventually(|| sink.metrics().restarts.get() == 2);
    sink.stop();
}

#[test]
fn records_refused_by_themselves_become_dead_letters_and_the_cursor_moves_on() {
    let world = World::new();
    world.append(20, 100);
    // More than both sessions send, so that each message sent by itself is refused too.
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &[refusal; 60]);
    let sink = world.start();
    world.wait_acked(&sink, 20);
    let dead = world.dead_letters();
    let mut offsets: Vec<_> = dead.iter().map(|letter| letter.offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, range(20));
    assert_eq!(dead[0].reason, "MessageSizeTooLarge");
    assert!(dead[0].value.contains("\"schema\":1"));

    world.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    world.append(5, 100);
    world.wait_acked(&sink, 25);
    assert_eq!(world.delivered_in_order(), (20..25).collect::<Vec<_>>());
    sink.stop();
}

#[test]
fn a_record_larger_than_the_producer_takes_is_a_dead_letter_without_a_restart() {
    let mut world = World::new();
    let limit = ("message.max.bytes".to_owned(), "2000".to_owned());
    world.settings.properties.push(limit);
    world.append(10, 100);
    world.append(1, 5_000);
    world.append(10, 100);
    let sink = world.start();
    world.wait_acked(&sink, 21);
    let dead = world.dead_letters();
    assert_eq!(
        dead.iter().map(|letter| letter.offset).collect::<Vec<_>>(),
        [10]
    );
    assert_eq!(sink.metrics().refused.get(), 1);
    assert_eq!(sink.metrics().restarts.get(), 0);
    let mut expected = range(21);
    expected.remove(10);
    assert_eq!(world.delivered_in_order(), expected);
    sink.stop();
}

#[test]
fn a_fatal_error_costs_the_producer_and_no_record() {
    let world = World::new();
    world.append(100, 100);
    let fatal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    world
        .cluster
        .request_errors(RDKafkaApiKey::InitProducerId, &[fatal]);
    let sink = world.start();
    world.wait_acked(&sink, 100);
    assert_eq!(world.delivered_in_order(), range(100));
    assert!(sink.metrics().restarts.get() >= 1);
    assert_eq!(world.dead_letters(), []);
    sink.stop();
}

#[test]
fn a_missing_right_is_waited_for() {
    let world = World::new();
    world.append(100, 100);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &[denied]);
    let sink = world.start();
    world.wait_acked(&sink, 100);
    assert_eq!(world.delivered_in_order(), range(100));
    assert_eq!(world.dead_letters(), []);
    sink.stop();
}

#[test]
fn lost_answers_and_disconnects_repeat_nothing_within_one_producer() {
    let world = World::new();
    let lost = RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT;
    let later = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    world
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &[lost, later, lost]);
    let sink = world.start();
    world.append(1_000, 100);
    world.wait_acked(&sink, 1_000);
    assert_eq!(world.delivered_in_order(), range(1_000));
    sink.stop();
}

#[test]
fn bad_properties_stop_the_start() {
    let mut world = World::new();
    world.settings.properties = vec![("no.such".to_owned(), "1".to_owned())];
    let started = KafkaSink::start(
        world.settings.clone(),
        world.dir.path(),
        world.source(),
        Arc::new(SystemClock::default()),
        Metrics::default(),
        world.runtime.handle().clone(),
        Pulses::default().register("kafka", 60_000),
    );
    assert!(matches!(started, Err(StartError::Config(_))));
}

#[test]
fn an_unreadable_record_stops_no_other() {
    let world = World::new();
    world.append(5, 10);
    world.append_bytes(b"\x02no record");
    world.append(5, 10);
    let sink = world.start();
    world.wait_acked(&sink, 11);
    let sent: Vec<_> = (0..5).chain(6..11).collect();
    assert_eq!(world.delivered_in_order(), sent);
    assert_eq!(
        std::fs::read_dir(world.dir.path().join(DIR))
            .unwrap()
            .count(),
        1
    );
    sink.stop();
}

#[test]
fn a_record_of_a_newer_format_holds_the_cursor() {
    let world = World::new();
    world.append(5, 10);
    world.append_bytes(&[PAYLOAD_VERSION + 1, 0, 0, 0, 0]);
    world.append(1, 10);
    let sink = world.start();
    // What stands before it is delivered, and acknowledged.
    world.wait_acked(&sink, 5);
    assert_eq!(world.delivered_in_order(), range(5));
    assert_eq!(*sink.acked().borrow(), 5);
    sink.stop();
}

/// Looks until it is so; fails after [`PATIENCE`].
fn eventually(so: impl Fn() -> bool) {
    let looks = PATIENCE.as_millis() / 10;
    for _ in 0..looks {
        if so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it never came to be");
}
