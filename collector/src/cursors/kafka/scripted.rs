//! Kafka as the simulation plays it: a producer that queues, and a broker that takes, refuses or
//! loses what is queued when the simulation says so. Within a partition the order holds, as it does
//! with an idempotent producer; acknowledgements come in any order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::SmallRng;
use rdkafka::error::RDKafkaErrorCode;
use tidegate_event::record::{Record, RecordView};
use tidegate_journal::Cursor;
use tokio::sync::watch;

use super::dead_letters::{DeadLetters, list};
use super::forward::{Forwarder, Parts};
use super::metrics::Metrics;
use super::producer::{Answers, Care, ConfigError, Connect, Produce, Refused};
use super::record::{Message, Renderer, Topic};
use crate::clock::Clock;
use crate::cursors::follow::Follow;
use crate::cursors::source::Source;

/// Messages that a producer queues.
const QUEUE_MAX: usize = 12;
const PARTITIONS: u64 = 3;
const TOPICS: [&str; 2] = ["events", "transitions"];

/// The cluster. Clones are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Broker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Messages taken, by what they are.
    taken: BTreeSet<u64>,
    /// Messages that it will never take.
    refused: BTreeSet<u64>,
    /// The newest offset of each topic and key, and how often an older one came behind it.
    newest: BTreeMap<(usize, Vec<u8>), u64>,
    disordered: u64,
    /// Counts producers: what an older one queued is gone.
    producer: u64,
    queue: VecDeque<Queued>,
    /// Partitions that take nothing more from this producer.
    broken: BTreeSet<u64>,
    answers: Vec<Answer>,
    /// One message a request: a refusal concerns no other.
    singles: bool,
    fatal: bool,
    /// A mutant: an acknowledgement counts for everything queued before it.
    skips: bool,
}

#[derive(Clone, Debug)]
struct Queued {
    offset: u64,
    topic: usize,
    key: Vec<u8>,
    value: Vec<u8>,
}

#[derive(Debug)]
enum Answer {
    Taken(u64),
    Returned(RDKafkaErrorCode, Queued),
}

impl Queued {
    fn partition(&self) -> u64 {
        digest(self.topic, &self.key, &[]) % PARTITIONS
    }

    fn digest(&self) -> u64 {
        digest(self.topic, &self.key, &self.value)
    }
}

fn digest(topic: usize, key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (topic, key, value).hash(&mut hasher);
    hasher.finish()
}

impl Broker {
    /// From now on an acknowledgement counts for everything queued before it: what a window that
    /// passes an unacknowledged offset would make of it.
    pub(crate) fn skip_unacknowledged(&self) {
        self.0.lock().skips = true;
    }

    /// Answers something that is queued, one way or another.
    pub(crate) fn act(&self, random: &mut SmallRng) {
        let mut state = self.0.lock();
        match random.random_range(0..12) {
            0..8 => {
                for _ in 0..random.random_range(1..6) {
                    state.take(random);
                }
            }
            8..10 => state.refuse(RDKafkaErrorCode::InvalidRecord, random),
            10 => state.refuse(RDKafkaErrorCode::TopicAuthorizationFailed, random),
            _ => state.fatal = state.producer > 0,
        }
    }

    /// Takes all that is queued.
    pub(crate) fn take_all(&self, random: &mut SmallRng) {
        let mut state = self.0.lock();
        while state.take(random) {}
    }

    /// How often an older record came behind a newer one of its key.
    pub(crate) fn disordered(&self) -> u64 {
        self.0.lock().disordered
    }

    /// How many messages of this record are neither taken nor dead letters in `dir`.
    pub(crate) fn missing(&self, journal: &str, offset: u64, payload: &[u8], dir: &Path) -> usize {
        let view = RecordView::read(payload).expect("the core wrote it");
        let mut absent = Vec::new();
        let state = self.0.lock();
        let each = Renderer::new(journal).each(&view, offset, |message| {
            let known = digest(
                index(message.topic),
                message.key.unwrap_or_default(),
                message.value,
            );
            if !state.taken.contains(&known) {
                absent.push(known);
            }
            Ok::<(), ()>(())
        });
        each.expect("nothing fails above");
        if absent.is_empty() {
            return 0;
        }
        let dead = list(dir, usize::MAX).expect("the dead letters are readable");
        let dead: BTreeSet<u64> = dead
            .iter()
            .map(|letter| {
                let topic = usize::from(letter.topic == TOPICS[1]);
                let key = letter.key.as_deref().unwrap_or_default();
                digest(topic, key.as_bytes(), letter.value.as_bytes())
            })
            .collect();
        absent.iter().filter(|one| !dead.contains(one)).count()
    }
}

impl State {
    /// Takes the first message of some partition; false where none is queued that can be taken.
    fn take(&mut self, random: &mut SmallRng) -> bool {
        let mut firsts = BTreeMap::new();
        for (at, queued) in self.queue.iter().enumerate() {
            firsts.entry(queued.partition()).or_insert(at);
        }
        firsts.retain(|partition, _| !self.broken.contains(partition));
        let Some(at) = pick(random, &firsts.into_values().collect::<Vec<_>>()) else {
            return false;
        };
        if self.skips {
            let passed: Vec<_> = self.queue.drain(..at).collect();
            let answers = passed.iter().map(|queued| Answer::Taken(queued.offset));
            self.answers.extend(answers);
        }
        let at = if self.skips { 0 } else { at };
        if self.refused.contains(&self.queue[at].digest()) {
            self.give_back(at, RDKafkaErrorCode::InvalidRecord);
            return true;
        }
        let queued = self.queue.remove(at).expect("it was just found");
        self.answers.push(Answer::Taken(queued.offset));
        self.store(&queued);
        true
    }

    fn store(&mut self, queued: &Queued) {
        if !self.taken.insert(queued.digest()) {
            return;
        }
        let key = (queued.topic, queued.key.clone());
        let newest = self.newest.entry(key).or_default();
        self.disordered += u64::from(*newest > queued.offset);
        *newest = queued.offset.max(*newest);
    }

    /// Returns the first message of some partition; an invalid record stays one.
    fn refuse(&mut self, code: RDKafkaErrorCode, random: &mut SmallRng) {
        let Some(first) = pick(random, &(0..self.queue.len()).collect::<Vec<_>>()) else {
            return;
        };
        let partition = self.queue[first].partition();
        let at = self
            .queue
            .iter()
            .position(|queued| queued.partition() == partition)
            .expect("one is there");
        if code == RDKafkaErrorCode::InvalidRecord {
            self.refused.insert(self.queue[at].digest());
        }
        self.give_back(at, code);
    }

    /// Returns a message. In a batch its neighbours are not taken either.
    fn give_back(&mut self, at: usize, code: RDKafkaErrorCode) {
        let queued = self.queue.remove(at).expect("the caller found it");
        let partition = queued.partition();
        if !self.singles || code != RDKafkaErrorCode::InvalidRecord {
            self.broken.insert(partition);
        }
        self.answers.push(Answer::Returned(code, queued));
    }
}

fn pick(random: &mut SmallRng, from: &[usize]) -> Option<usize> {
    (!from.is_empty()).then(|| from[random.random_range(0..from.len())])
}

fn index(topic: Topic) -> usize {
    match topic {
        Topic::Events => 0,
        Topic::Transitions => 1,
    }
}

/// One producer of the broker's.
pub(crate) struct Scripted {
    broker: Broker,
    answers: Answers,
    number: u64,
}

impl Connect for Broker {
    type Producer = Scripted;

    fn start(&self, care: Care, from: u64) -> Result<Scripted, ConfigError> {
        let mut state = self.0.lock();
        state.producer += 1;
        state.queue.clear();
        state.answers.clear();
        state.broken.clear();
        state.fatal = false;
        state.singles = care == Care::Singles;
        let number = state.producer;
        drop(state);
        Ok(Scripted {
            broker: self.clone(),
            answers: Answers::new(care, TOPICS.map(str::to_owned), Metrics::default(), from),
            number,
        })
    }
}

impl Produce for Scripted {
    fn send(
        &self,
        message: Message<'_>,
        offset: u64,
        _head: &Record<'_>,
    ) -> Result<(), RDKafkaErrorCode> {
        let mut state = self.broker.0.lock();
        if state.queue.len() >= QUEUE_MAX {
            return Err(RDKafkaErrorCode::QueueFull);
        }
        state.queue.push_back(Queued {
            offset,
            topic: index(message.topic),
            key: message.key.unwrap_or_default().to_vec(),
            value: message.value.to_vec(),
        });
        Ok(())
    }

    fn poll(&self) {
        let mut state = self.broker.0.lock();
        if state.producer != self.number {
            return;
        }
        if state.fatal {
            self.answers.suspect();
        }
        // The newest first: acknowledgements of different partitions overtake each other.
        for answer in std::mem::take(&mut state.answers).into_iter().rev() {
            match answer {
                Answer::Taken(offset) => self.answers.delivered(offset),
                Answer::Returned(code, queued) => {
                    self.answers.returned(code, || Refused {
                        offset: queued.offset,
                        topic: TOPICS[queued.topic].to_owned(),
                        key: (!queued.key.is_empty()).then_some(queued.key),
                        value: queued.value,
                        code,
                    });
                }
            }
        }
    }

    fn is_fatal(&self) -> bool {
        self.broker.0.lock().fatal
    }

    fn answers(&self) -> &Answers {
        &self.answers
    }
}

/// The real forwarder on this broker; its dead letters are in `dir`.
///
/// # Errors
/// Of the file system.
pub(crate) fn follower(
    broker: &Broker,
    source: Source,
    cursor: Cursor,
    dir: &Path,
    clock: Arc<dyn Clock>,
) -> io::Result<impl Follow + use<>> {
    let parts = Parts {
        source,
        dead_letters: DeadLetters::open(dir, 1_000_000)?,
        clock,
        metrics: Metrics::default(),
        acked: watch::Sender::new(cursor.position()),
        cursor,
    };
    Ok(Forwarder::new(parts, broker.clone()))
}
