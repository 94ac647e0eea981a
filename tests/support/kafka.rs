//! A real Kafka broker that a test can stop and start, and a reader of whole topics.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use crate::http::shared;
use crate::patience::{eventually, patience};
use crate::process::run;

/// The broker of this test run, started by the first test that asks and ended, with its data, when
/// the test process is gone. Tests keep apart by their topics.
#[derive(Debug)]
pub struct Broker {
    dir: PathBuf,
    address: String,
}

/// A message: its key, its value.
pub type Pair = (Option<String>, Value);

impl Broker {
    /// Starts it, where it does not run yet.
    ///
    /// # Panics
    /// Where `tests/kafka/start.sh` fails.
    #[must_use]
    pub fn start() -> Self {
        static DIR: OnceLock<PathBuf> = OnceLock::new();
        let mut broker = Self {
            dir: DIR.get_or_init(own_dir).clone(),
            address: String::new(),
        };
        broker.start_again();
        broker
    }

    /// Starts it again after [`Broker::stop`], with its data, on its port.
    ///
    /// # Panics
    /// Where the script fails.
    pub fn start_again(&mut self) {
        let mut start = script("start.sh");
        start.env("KAFKA_OWNER_PID", std::process::id().to_string());
        let printed = run(start.arg(&self.dir));
        let printed = printed.unwrap_or_else(|error| unreachable!("kafka: {error}"));
        printed.trim().clone_into(&mut self.address);
    }

    /// Stops it.
    ///
    /// # Panics
    /// Where the script fails.
    pub fn stop(&self) {
        run(script("stop.sh").arg(&self.dir)).expect("kafka stops");
    }

    /// `bootstrap.servers`
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Makes a topic whose broker takes no message batch larger than `message_bytes_max`.
    ///
    /// # Panics
    /// Where the broker does not.
    pub fn create_topic(&self, name: &str, message_bytes_max: usize) {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .create()
            .expect("an admin client");
        let limit = message_bytes_max.to_string();
        let topic =
            NewTopic::new(name, 2, TopicReplication::Fixed(1)).set("max.message.bytes", &limit);
        let made = shared().block_on(admin.create_topics([&topic], &AdminOptions::new()));
        let made = made.expect("the broker answers");
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    /// Every message of a topic from its beginning to its end now.
    ///
    /// # Panics
    /// Where the broker does not answer in time.
    #[must_use]
    pub fn read(&self, topic: &str) -> Vec<Pair> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .set("group.id", "tidegate-tests")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .expect("a consumer");
        let partitions = partitions(&consumer, topic);
        let mut list = TopicPartitionList::new();
        for partition in &partitions {
            let added = list.add_partition_offset(topic, *partition, Offset::Beginning);
            added.expect("a partition is added");
        }
        consumer.assign(&list).expect("partitions are assigned");
        let (mut ended, mut messages) = (0, Vec::new());
        while ended < partitions.len() {
            match consumer.poll(patience()).expect("the broker answers") {
                Ok(message) => messages.push(pair(&message)),
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => unreachable!("reading {topic}: {error}"),
            }
        }
        messages
    }

    /// Reads the topic again and again until `enough` says so.
    #[must_use]
    pub fn read_until(&self, topic: &str, enough: impl Fn(&[Pair]) -> bool) -> Vec<Pair> {
        eventually(&format!("messages in {topic}"), || {
            let messages = self.read(topic);
            enough(&messages).then_some(messages)
        })
    }
}

fn pair(message: &impl Message) -> Pair {
    let key = message
        .key()
        .map(|key| String::from_utf8_lossy(key).into_owned());
    let value = message
        .payload()
        .and_then(|value| serde_json::from_slice(value).ok());
    (key, value.expect("a message is one JSON object"))
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<i32> {
    eventually(&format!("the topic {topic}"), || {
        let metadata = consumer
            .fetch_metadata(Some(topic), Duration::from_secs(5))
            .ok()?;
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic)?;
        let ids: Vec<i32> = found
            .partitions()
            .iter()
            .map(|partition| partition.id())
            .collect();
        (!ids.is_empty()).then_some(ids)
    })
}

fn own_dir() -> PathBuf {
    let dir = tempfile::Builder::new().prefix("tidegate-kafka-").tempdir();
    dir.expect("a temporary directory").keep()
}

fn script(name: &str) -> Command {
    Command::new(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("kafka")
            .join(name),
    )
}
