//! The sink's loop. A session is one producer from the cursor on; it ends when told to, or when
//! its producer cannot go on, and then the next begins at the lowest unacknowledged offset.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseRecord, Producer as _};
use tidegate_event::record::RecordView;
use tidegate_journal::{Cursor, Journal, Reader};
use tokio::sync::watch;

use super::dead_letters::{DeadLetter, DeadLetters};
use super::metrics::Metrics;
use super::producer::{self, Answers, Broken, Care, Producer, Refused, Verdict, verdict};
use super::record::{Message, Renderer, headers};
use crate::clock::Clock;
use crate::cursors::follow::Pace;
use crate::settings::Kafka;

/// Records between two looks at the answers.
const ROUND_RECORDS: usize = 1_000;
/// How long records and answers gather between two looks, in milliseconds: less than librdkafka's
/// own linger would add.
const GATHER_MS: u64 = 5;
/// How often an idle sink looks for errors of its connection, in milliseconds.
const IDLE_MS: u64 = 500;
/// Breath between two looks at a journal that has nothing and may have ended, in milliseconds.
const ENDED_MS: u64 = 5;
/// Looks of `DRAIN_POLL_MS` that a stopping sink grants its last messages.
const DRAIN_POLLS: u32 = 30;
const DRAIN_POLL_MS: u64 = 100;
const BACKOFF_MIN_MS: u64 = 250;
const BACKOFF_MAX_MS: u64 = 30_000;

/// What the forwarder is made of.
pub(super) struct Parts {
    pub(super) settings: Kafka,
    pub(super) journal: Journal,
    pub(super) cursor: Cursor,
    pub(super) dead_letters: DeadLetters,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
    pub(super) acked: watch::Sender<u64>,
    pub(super) pace: Pace,
}

/// The loop's owner.
pub(super) struct Forwarder {
    parts: Parts,
    renderer: Renderer,
}

/// Why a session ended.
#[derive(Debug)]
enum End {
    /// Told to.
    Stopped,
    /// Every offset that was to travel alone did.
    Through,
    /// Send again, one message a request, up to this offset.
    Careful { until: u64 },
    /// Send again after a pause.
    Again,
}

/// What one session carries about.
struct Session {
    producer: Producer,
    reader: Reader,
    /// Where a careful session ends.
    until: Option<u64>,
    /// A record that found the producer's queue full.
    stalled: Option<Stalled>,
}

/// A record taken from the journal whose messages did not all fit.
struct Stalled {
    offset: u64,
    payload: Vec<u8>,
    /// Messages of it that are already handed over.
    sent: usize,
}

/// How a round of sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// There was nothing.
    Nothing,
    /// All there was.
    All,
    /// A whole round, and there may be more.
    Round,
    /// As much as the queue took.
    Full,
}

impl Forwarder {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            renderer: Renderer::new(parts.journal.id()),
            parts,
        }
    }

    /// Sends until told to stop.
    pub(super) fn run(mut self) {
        let mut until = None;
        let mut backoff_ms = BACKOFF_MIN_MS;
        while !self.parts.pace.stopped() {
            let from = self.parts.cursor.position();
            let end = self.session(from, until);
            if self.parts.cursor.position() > from {
                backoff_ms = BACKOFF_MIN_MS;
            }
            match end {
                End::Stopped => break,
                End::Through => until = None,
                End::Careful { until: offset } => until = Some(offset),
                End::Again => {
                    self.parts.pace.pause(backoff_ms);
                    backoff_ms = (backoff_ms * 2).min(BACKOFF_MAX_MS);
                }
            }
            self.parts.metrics.restarts.inc();
        }
        self.parts.metrics.in_flight.set(0);
    }

    fn session(&mut self, from: u64, until: Option<u64>) -> End {
        let parts = &self.parts;
        let care = match until {
            Some(_) => Care::Singles,
            None => Care::Batches,
        };
        let producer = producer::start(&parts.settings, care, from, &parts.metrics);
        let producer = match producer {
            Ok(producer) => producer,
            Err(error) => {
                tracing::error!(%error, "no kafka producer");
                return End::Again;
            }
        };
        let reader = match parts.journal.reader(from) {
            Ok(reader) => reader,
            Err(error) => {
                tracing::error!(%error, "kafka cannot read the journal");
                return End::Again;
            }
        };
        let mut session = Session {
            producer,
            reader,
            until,
            stalled: None,
        };
        loop {
            if let Some(end) = self.round(&mut session) {
                return end;
            }
        }
    }

    /// Sends what there is, looks at the answers, waits where there was nothing of either.
    fn round(&mut self, session: &mut Session) -> Option<End> {
        if self.parts.pace.stopped() {
            return Some(self.drain(session));
        }
        let durable = self.parts.journal.durable();
        let sent = match self.send_round(session, durable) {
            Ok(sent) => sent,
            Err(end) => return Some(end),
        };
        let idle = sent == Sent::Nothing && session.answers().state().window.in_flight() == 0;
        if !idle && sent != Sent::Round {
            self.parts.pace.pause(GATHER_MS);
        }
        session.take_answers();
        if matches!(sent, Sent::Nothing | Sent::All) {
            let read = durable.min(session.limit());
            session.answers().state().window.skip_to(read);
        }
        if let Some(end) = self.settle(session) {
            return Some(end);
        }
        if idle {
            let past = self.parts.journal.wait_past(durable);
            self.parts.pace.until(past, IDLE_MS);
            // A journal that has ended answers at once, for ever.
            if self.parts.journal.durable() == durable {
                self.parts.pace.pause(ENDED_MS);
            }
        }
        None
    }

    /// Hands at most a round of the records below `durable` to the producer.
    fn send_round(&mut self, session: &mut Session, durable: u64) -> Result<Sent, End> {
        let bound = durable.min(session.limit());
        let Session {
            producer,
            reader,
            stalled,
            ..
        } = session;
        if let Some(held) = stalled {
            let (offset, payload) = (held.offset, &held.payload);
            if let Some(sent) = send(&mut self.renderer, producer, offset, payload, held.sent)? {
                held.sent = sent;
                return Ok(Sent::Full);
            }
            producer.context().state().window.release(offset);
        }
        *stalled = None;
        for count in 0..ROUND_RECORDS {
            let frame = match reader.next_below(bound) {
                Ok(Some(frame)) => frame,
                Ok(None) if count == 0 => return Ok(Sent::Nothing),
                Ok(None) => return Ok(Sent::All),
                Err(error) => {
                    tracing::error!(%error, "kafka cannot read the journal");
                    return Err(End::Again);
                }
            };
            let (offset, payload) = (frame.offset, frame.payload);
            if let Some(sent) = send(&mut self.renderer, producer, offset, payload, 0)? {
                producer.context().state().window.hold(offset);
                *stalled = Some(Stalled {
                    offset,
                    payload: payload.to_vec(),
                    sent,
                });
                return Ok(Sent::Full);
            }
        }
        Ok(Sent::Round)
    }

    /// Takes the answers in: dead letters, cursor, figures, and whether the session can go on.
    fn settle(&mut self, session: &Session) -> Option<End> {
        producer::note_fatal(&session.producer);
        let refused = std::mem::take(&mut session.answers().state().refused);
        for message in refused {
            if let Err(end) = self.bury(session, message) {
                return Some(end);
            }
        }
        let (lowest, end, in_flight, broken) = {
            let state = session.answers().state();
            let window = &state.window;
            (
                window.lowest(),
                window.end(),
                window.in_flight(),
                state.broken,
            )
        };
        self.publish(lowest, in_flight);
        match broken {
            None if lowest >= session.limit() => Some(End::Through),
            None => None,
            Some(Broken::Unclear(code)) => {
                tracing::warn!(
                    ?code,
                    "kafka refused a batch: sending its messages one by one"
                );
                Some(End::Careful { until: end })
            }
            Some(Broken::Returned(code)) => {
                tracing::warn!(?code, "kafka does not take the records now; trying again");
                Some(End::Again)
            }
            Some(Broken::Fatal) => {
                tracing::warn!("the kafka producer failed; a new one starts at the cursor");
                Some(End::Again)
            }
        }
    }

    fn publish(&mut self, lowest: u64, in_flight: usize) {
        let parts = &mut self.parts;
        if lowest > parts.cursor.position() {
            parts.cursor.advance(lowest);
            parts.acked.send_replace(lowest);
            if parts.metrics.recovered() {
                tracing::info!("kafka acknowledges records again");
            }
        }
        let lag = parts.journal.durable().saturating_sub(lowest);
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        parts.metrics.lag.set(gauge(lag));
        parts.metrics.in_flight.set(gauge(in_flight as u64));
    }

    /// Makes a refused message a dead letter; only then is it settled.
    fn bury(&mut self, session: &Session, refused: Refused) -> Result<(), End> {
        let offset = refused.offset;
        self.parts.bury(refused)?;
        session.answers().state().window.settle(offset);
        Ok(())
    }

    /// Grants what is in flight a last chance, without waiting for a broker that is away.
    fn drain(&mut self, session: &Session) -> End {
        for _ in 0..DRAIN_POLLS {
            let in_flight = session.answers().state().window.in_flight();
            if in_flight == 0 || self.parts.metrics.last_error().is_some() {
                break;
            }
            session.producer.poll(Duration::from_millis(DRAIN_POLL_MS));
            if self.settle(session).is_some() {
                break;
            }
        }
        End::Stopped
    }
}

impl Session {
    /// Takes in the answers that are there, without waiting: a wait inside `poll` ends in a spin,
    /// because librdkafka counts what is left of it in whole milliseconds.
    fn take_answers(&self) {
        let in_flight = || self.answers().state().window.in_flight();
        loop {
            let before = in_flight();
            self.producer.poll(Duration::ZERO);
            if in_flight() == before {
                return;
            }
        }
    }

    fn answers(&self) -> &Answers {
        self.producer.context()
    }

    fn limit(&self) -> u64 {
        self.until.unwrap_or(u64::MAX)
    }
}

impl Parts {
    fn bury(&mut self, refused: Refused) -> Result<(), End> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let letter = DeadLetter {
            journal: self.journal.id().to_owned(),
            offset: refused.offset,
            key: refused.key.as_deref().map(text),
            reason: format!("{:?}", refused.code),
            refused_at: self.clock.now().to_string(),
            bytes: refused.value.len(),
            value: text(&refused.value),
            topic: refused.topic,
        };
        if let Err(error) = self.dead_letters.add(&letter) {
            tracing::error!(%error, "no room for a kafka dead letter; trying again");
            return Err(End::Again);
        }
        tracing::warn!(
            offset = letter.offset,
            reason = letter.reason,
            "kafka dead letter"
        );
        self.journal
            .charge("kafka-dead-letters", self.dead_letters.bytes());
        self.metrics.refused.inc();
        Ok(())
    }
}

/// Hands the messages of one record to the producer, except the first `skip`. Some: the queue is
/// full after so many of them.
fn send(
    renderer: &mut Renderer,
    producer: &Producer,
    offset: u64,
    payload: &[u8],
    skip: usize,
) -> Result<Option<usize>, End> {
    let view = match RecordView::read(payload) {
        Ok(view) => view,
        Err(error) => {
            tracing::error!(%error, offset, "kafka cannot read a record");
            return Err(End::Again);
        }
    };
    let mut index = 0;
    let result = renderer.each(&view, offset, |message| {
        if index >= skip {
            hand_over(producer, offset, message, &view)?;
        }
        index += 1;
        Ok(())
    });
    match result {
        Ok(()) => Ok(None),
        Err(RDKafkaErrorCode::QueueFull) => Ok(Some(index)),
        Err(code) => {
            tracing::warn!(?code, "the kafka producer takes no messages");
            Err(End::Again)
        }
    }
}

/// Hands one message over. One that librdkafka itself refuses for good becomes an answer.
fn hand_over(
    producer: &Producer,
    offset: u64,
    message: Message<'_>,
    view: &RecordView<'_>,
) -> Result<(), RDKafkaErrorCode> {
    let answers: &Answers = producer.context();
    let topic = answers.topic(message.topic);
    let opaque = usize::try_from(offset).expect("offsets stay far below 2^64 on 64-bit machines");
    let mut record = BaseRecord::with_opaque_to(topic, opaque)
        .payload(message.value)
        .headers(headers(&view.head));
    record.key = message.key;
    let Err((error, _)) = producer.send(record) else {
        answers.state().window.open(offset);
        return Ok(());
    };
    let code = error
        .rdkafka_error_code()
        .unwrap_or(RDKafkaErrorCode::Unknown);
    if verdict(code) != Verdict::Refused {
        return Err(code);
    }
    let mut state = answers.state();
    state.window.open(offset);
    state.refused.push(Refused {
        offset,
        topic: topic.to_owned(),
        key: message.key.map(<[u8]>::to_vec),
        value: message.value.to_vec(),
        code,
    });
    Ok(())
}
