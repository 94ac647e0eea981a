//! The librdkafka producer as this gateway needs it: idempotent, acks=all, waiting for ever, and
//! bounded. What comes back is sorted into answered, refused for good, and broken; what to do then
//! is the forwarder's to decide. It works with any [`Produce`], so that the simulation can answer
//! in librdkafka's place.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tidegate_event::record::Record;

use super::metrics::Metrics;
use super::record::{Message, Topic, headers};
use super::window::Window;
use crate::settings::Kafka;

/// Properties that a `[kafka]` section may change, with what they are otherwise.
///
/// `murmur2_random` puts a key where Java's own clients put it. The queue is bounded in bytes too,
/// which is what keeps memory flat while the broker is away.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "tidegate"),
    ("linger.ms", "5"),
    ("compression.type", "none"),
    ("partitioner", "murmur2_random"),
    ("queue.buffering.max.kbytes", "65536"),
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.keepalive.enable", "true"),
    ("log.connection.close", "false"),
];

/// Properties that hold whatever the section says: the guarantees rest on them.
const FIXED: &[(&str, &str)] = &[
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("message.timeout.ms", "0"),
];

/// Further properties that are not the section's to set.
const OWN: &[&str] = &[
    "bootstrap.servers",
    "metadata.broker.list",
    "request.required.acks",
    "delivery.timeout.ms",
    "queue.buffering.max.messages",
    "transactional.id",
];

/// Why `[kafka]` makes no producer.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The guarantees rest on it.
    #[error("kafka.properties: {0} is set by tidegate, remove it")]
    Fixed(String),
    /// librdkafka says why.
    #[error("kafka: {0}")]
    Refused(#[from] KafkaError),
}

/// Checks `[kafka]` without connecting anywhere.
///
/// # Errors
/// [`ConfigError`]
pub fn check(settings: &Kafka) -> Result<(), ConfigError> {
    client_config(settings, Care::Batches)?.create_native_config()?;
    Ok(())
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Many in one request; a refusal may be meant for a neighbour.
    Batches,
    /// One in each request: a refusal is meant for it.
    Singles,
}

fn client_config(settings: &Kafka, care: Care) -> Result<ClientConfig, ConfigError> {
    let mut config = ClientConfig::new();
    for (key, value) in DEFAULTS {
        config.set(*key, *value);
    }
    for (key, value) in &settings.properties {
        let fixed = FIXED.iter().any(|(fixed, _)| fixed == key);
        if fixed || OWN.contains(&key.as_str()) {
            return Err(ConfigError::Fixed(key.clone()));
        }
        config.set(key, value);
    }
    for (key, value) in FIXED {
        config.set(*key, *value);
    }
    config.set("bootstrap.servers", &settings.brokers);
    let in_flight_max = settings.in_flight_max.max(1).to_string();
    config.set("queue.buffering.max.messages", in_flight_max);
    if care == Care::Singles {
        config.set("batch.num.messages", "1");
    }
    config.set_log_level(RDKafkaLogLevel::Warning);
    Ok(config)
}

/// Starts producers, one for each session.
pub(super) trait Connect {
    /// What it starts.
    type Producer: Produce;

    /// Starts a producer whose first message will be of offset `from` or later. Does not connect
    /// yet.
    ///
    /// # Errors
    /// [`ConfigError`]
    fn start(&self, care: Care, from: u64) -> Result<Self::Producer, ConfigError>;
}

/// A producer with its answers. Nothing here waits.
pub(super) trait Produce {
    /// Queues one message of the record at `offset`.
    ///
    /// # Errors
    /// The code; `QueueFull` passes.
    fn send(
        &self,
        message: Message<'_>,
        offset: u64,
        head: &Record<'_>,
    ) -> Result<(), RDKafkaErrorCode>;

    /// Takes in the answers that are there.
    fn poll(&self);

    /// Whether the client gave up for good.
    fn is_fatal(&self) -> bool;

    /// What came back so far.
    fn answers(&self) -> &Answers;
}

/// Starts librdkafka's producers.
pub(super) struct Librdkafka {
    /// `[kafka]`
    pub(super) settings: Kafka,
    /// Where figures go.
    pub(super) metrics: Metrics,
}

impl Connect for Librdkafka {
    type Producer = BaseProducer<Answers>;

    fn start(&self, care: Care, from: u64) -> Result<Self::Producer, ConfigError> {
        let settings = &self.settings;
        let topics = [settings.topic.clone(), settings.transitions_topic.clone()];
        let answers = Answers::new(care, topics, self.metrics.clone(), from);
        Ok(client_config(settings, care)?.create_with_context(answers)?)
    }
}

impl Produce for BaseProducer<Answers> {
    fn send(
        &self,
        message: Message<'_>,
        offset: u64,
        head: &Record<'_>,
    ) -> Result<(), RDKafkaErrorCode> {
        let topic = self.answers().topic(message.topic);
        let opaque =
            usize::try_from(offset).expect("offsets stay far below 2^64 on 64-bit machines");
        let mut record = BaseRecord::with_opaque_to(topic, opaque)
            .payload(message.value)
            .headers(headers(head));
        record.key = message.key;
        let code = |error: &KafkaError| error.rdkafka_error_code();
        Self::send(self, record)
            .map_err(|(error, _)| code(&error).unwrap_or(RDKafkaErrorCode::Unknown))
    }

    /// Without waiting: a wait inside librdkafka's `poll` ends in a spin, because it counts what is
    /// left of it in whole milliseconds.
    fn poll(&self) {
        let in_flight = || self.answers().state().window.in_flight();
        loop {
            let before = in_flight();
            Self::poll(self, Duration::ZERO);
            if in_flight() == before {
                return;
            }
        }
    }

    fn is_fatal(&self) -> bool {
        self.client().fatal_error().is_some()
    }

    fn answers(&self) -> &Answers {
        self.context()
    }
}

/// What the broker said so far. One thread sends, polls and reads it, so its lock is never waited
/// for; librdkafka only asks that it could be shared.
pub(super) struct Answers {
    care: Care,
    topics: [String; 2],
    metrics: Metrics,
    state: Mutex<State>,
}

/// See [`Answers`].
#[derive(Debug)]
pub(super) struct State {
    /// What is still owed.
    pub(super) window: Window,
    /// Refused for good, not yet among the dead letters. At most what was in flight.
    pub(super) refused: Vec<Refused>,
    /// The first reason why this producer cannot go on.
    pub(super) broken: Option<Broken>,
    /// The client reported an error since it was last asked whether it was fatal.
    suspect: bool,
}

/// A message that Kafka will never take.
#[derive(Debug)]
pub(super) struct Refused {
    /// The record it came from.
    pub(super) offset: u64,
    /// Where it was to go.
    pub(super) topic: String,
    /// Its key.
    pub(super) key: Option<Vec<u8>>,
    /// Its value.
    pub(super) value: Vec<u8>,
    /// What Kafka said.
    pub(super) code: RDKafkaErrorCode,
}

/// Why a producer cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// A batch was refused for good, and which message was meant is not known.
    Unclear(RDKafkaErrorCode),
    /// A message came back although another try may succeed (a missing topic, a missing right).
    Returned(RDKafkaErrorCode),
    /// librdkafka gave the producer up.
    Fatal,
}

/// What an error code says about one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It will never be taken.
    Refused,
    /// We took it back ourselves.
    Purged,
    /// It may be taken another time.
    Later,
}

/// Sorts an error code. What is not known to be the message's own fault is tried again: waiting
/// loses nothing, and a dead letter has to be looked at by a person.
pub(super) fn verdict(code: RDKafkaErrorCode) -> Verdict {
    use RDKafkaErrorCode as Code;
    if matches!(code, Code::PurgeQueue | Code::PurgeInflight) {
        Verdict::Purged
    } else if matches!(
        code,
        Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidDifferentRecord
            | Code::UnsupportedForMessageFormat
    ) {
        Verdict::Refused
    } else {
        Verdict::Later
    }
}

/// Notes a fatal error. librdkafka reports one under the code of its cause, so that only the client
/// can tell it from an error that passes.
pub(super) fn note_fatal(producer: &impl Produce) {
    let mut state = producer.answers().state();
    if std::mem::take(&mut state.suspect) && producer.is_fatal() {
        state.broken.get_or_insert(Broken::Fatal);
    }
}

impl Answers {
    /// Of a producer whose first message will be of offset `from` or later.
    pub(super) fn new(care: Care, topics: [String; 2], metrics: Metrics, from: u64) -> Self {
        Self {
            care,
            topics,
            metrics,
            state: Mutex::new(State {
                window: Window::new(from),
                refused: Vec::new(),
                broken: None,
                suspect: false,
            }),
        }
    }

    /// One message of `offset` is in Kafka.
    pub(super) fn delivered(&self, offset: u64) {
        self.metrics.delivered.inc();
        self.state.lock().window.settle(offset);
    }

    /// One message came back with this code; `message` makes it again.
    pub(super) fn returned(&self, code: RDKafkaErrorCode, message: impl FnOnce() -> Refused) {
        let mut state = self.state.lock();
        match (verdict(code), self.care) {
            (Verdict::Purged, _) => {}
            (Verdict::Refused, Care::Singles) => state.refused.push(message()),
            (Verdict::Refused, Care::Batches) => {
                state.broken.get_or_insert(Broken::Unclear(code));
            }
            (Verdict::Later, _) => {
                self.metrics.failed(code);
                state.broken.get_or_insert(Broken::Returned(code));
            }
        }
    }

    /// The client reported an error, which may be fatal.
    pub(super) fn suspect(&self) {
        self.state.lock().suspect = true;
    }

    /// The topic's name.
    pub(super) fn topic(&self, topic: Topic) -> &str {
        match topic {
            Topic::Events => &self.topics[0],
            Topic::Transitions => &self.topics[1],
        }
    }

    /// The state, for the one thread that works on it.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::debug!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::trace!(facility, message, "librdkafka");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        self.suspect();
        if self.metrics.failed(code) {
            tracing::warn!(
                ?code,
                reason,
                "kafka is in trouble; records wait in the journal"
            );
        }
    }
}

impl ProducerContext for Answers {
    /// The journal offset.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, offset: usize) {
        let offset = offset as u64;
        let Err((error, message)) = result else {
            return self.delivered(offset);
        };
        let code = error
            .rdkafka_error_code()
            .unwrap_or(RDKafkaErrorCode::Unknown);
        self.returned(code, || Refused {
            offset,
            topic: message.topic().to_owned(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().unwrap_or_default().to_vec(),
            code,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(properties: &[(&str, &str)]) -> Kafka {
        Kafka {
            brokers: "127.0.0.1:9".to_owned(),
            topic: "t".to_owned(),
            transitions_topic: "u".to_owned(),
            in_flight_max: 10,
            dead_letters_max: 10,
            properties: properties
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn what_the_guarantees_rest_on_cannot_be_set() {
        for key in [
            "acks",
            "enable.idempotence",
            "message.timeout.ms",
            "bootstrap.servers",
            "transactional.id",
            "queue.buffering.max.messages",
        ] {
            let error = check(&settings(&[(key, "1")])).unwrap_err();
            assert!(
                matches!(error, ConfigError::Fixed(named) if named == key),
                "{key}"
            );
        }
    }

    #[test]
    fn an_unknown_property_and_a_bad_value_are_refused_with_their_name() {
        for (key, value) in [("no.such.property", "1"), ("linger.ms", "soon")] {
            let error = check(&settings(&[(key, value)])).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
    }

    #[test]
    fn other_properties_are_passed_on() {
        let config = client_config(
            &settings(&[("linger.ms", "50"), ("compression.type", "gzip")]),
            Care::Batches,
        )
        .unwrap();
        assert_eq!(config.get("linger.ms"), Some("50"));
        assert_eq!(config.get("compression.type"), Some("gzip"));
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("queue.buffering.max.messages"), Some("10"));
        check(&settings(&[("linger.ms", "50")])).unwrap();
    }

    #[test]
    fn only_the_messages_own_faults_are_for_good() {
        use RDKafkaErrorCode as Code;
        for (code, expected) in [
            (Code::MessageSizeTooLarge, Verdict::Refused),
            (Code::InvalidRecord, Verdict::Refused),
            (Code::PurgeQueue, Verdict::Purged),
            (Code::PurgeInflight, Verdict::Purged),
            (Code::UnknownTopicOrPartition, Verdict::Later),
            (Code::TopicAuthorizationFailed, Verdict::Later),
            (Code::InvalidTimestamp, Verdict::Later),
            (Code::BrokerTransportFailure, Verdict::Later),
            (Code::Unknown, Verdict::Later),
        ] {
            assert_eq!(verdict(code), expected, "{code:?}");
        }
    }
}
