//! The sink's loop. A session is one producer from the cursor on; it ends when told to, or when
//! its producer cannot go on, and then the next begins at the lowest unacknowledged offset.

use std::sync::Arc;

use rdkafka::error::RDKafkaErrorCode;
use tidegate_event::record::RecordView;
use tidegate_journal::Cursor;
use tokio::sync::watch;

use super::dead_letters::{DeadLetter, DeadLetters};
use super::metrics::Metrics;
use super::producer::{self, Broken, Care, Connect, Produce, Refused, Verdict, verdict};
use super::record::{Message, Renderer};
use crate::clock::Clock;
use crate::cursors::follow::{Follow, Next};
use crate::cursors::source::{Found, Source, SourceError};
use crate::formats::dead_letters::DIR;

/// Records between two looks at the answers.
const ROUND_RECORDS: usize = 1_000;
/// How long records and answers gather between two looks, in milliseconds: less than librdkafka's
/// own linger would add.
const GATHER_MS: u64 = 5;
/// Looks of `DRAIN_MS` that a stopping sink grants its last messages.
const DRAIN_LOOKS: u32 = 300;
const DRAIN_MS: u64 = 10;
/// How long a record that must not be passed holds the cursor until it is read again.
const HELD_MS: u64 = 1_000;
const BACKOFF_MIN_MS: u64 = 250;
const BACKOFF_MAX_MS: u64 = 30_000;

/// What the forwarder is made of.
pub(super) struct Parts {
    pub(super) source: Source,
    pub(super) cursor: Cursor,
    pub(super) dead_letters: DeadLetters,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Metrics,
    pub(super) acked: watch::Sender<u64>,
}

/// The loop as a state machine.
pub(super) struct Forwarder<C: Connect> {
    parts: Parts,
    connect: C,
    renderer: Renderer,
    session: Option<Session<C::Producer>>,
    /// Where the next session ends, if it is a careful one.
    until: Option<u64>,
    backoff_ms: u64,
    /// Told to end: so many looks are left.
    draining: Option<u32>,
}

/// Why a session ended.
#[derive(Debug)]
enum End {
    /// Every offset that was to travel alone did.
    Through,
    /// Send again, one message a request, up to this offset.
    Careful { until: u64 },
    /// Send again after a pause.
    Again,
}

/// What one session carries about.
struct Session<P> {
    producer: P,
    /// Where it began.
    from: u64,
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
    /// What stands before a record that must not be passed.
    Held,
}

impl<C: Connect> Follow for Forwarder<C> {
    /// Begins a session, or takes its answers in and sends what there is.
    fn step(&mut self) -> Next {
        let next = match (self.session.take(), self.draining) {
            (None, None) => self.begin(),
            (None, Some(_)) => Next::Done,
            (Some(session), None) => self.go_on(session),
            (Some(session), Some(looks)) => self.drain(session, looks),
        };
        if next == Next::Done {
            self.parts.metrics.in_flight.set(0);
        }
        next
    }

    /// What is in flight gets a last chance, without waiting for a broker that is away.
    fn end(&mut self) {
        self.draining = Some(DRAIN_LOOKS);
    }
}

impl<C: Connect> Forwarder<C> {
    pub(super) fn new(parts: Parts, connect: C) -> Self {
        Self {
            renderer: Renderer::new(parts.source.journal().id()),
            parts,
            connect,
            session: None,
            until: None,
            backoff_ms: BACKOFF_MIN_MS,
            draining: None,
        }
    }

    fn begin(&mut self) -> Next {
        let from = self.parts.cursor.position();
        let care = match self.until {
            Some(_) => Care::Singles,
            None => Care::Batches,
        };
        let producer = match self.connect.start(care, from) {
            Ok(producer) => producer,
            Err(error) => {
                tracing::error!(%error, "no kafka producer");
                return self.after(from, &End::Again);
            }
        };
        if let Err(error) = self.parts.source.open(from) {
            tracing::error!(%error, "kafka cannot read the journal");
            return self.after(from, &End::Again);
        }
        self.session = Some(Session {
            producer,
            from,
            until: self.until,
            stalled: None,
        });
        Next::Again
    }

    /// What follows a session that began at `from`.
    fn after(&mut self, from: u64, end: &End) -> Next {
        self.parts.source.close();
        self.parts.metrics.restarts.inc();
        if self.parts.cursor.position() > from {
            self.backoff_ms = BACKOFF_MIN_MS;
        }
        match end {
            End::Through => self.until = None,
            End::Careful { until } => self.until = Some(*until),
            End::Again => {
                let pause_ms = self.backoff_ms;
                self.backoff_ms = (pause_ms * 2).min(BACKOFF_MAX_MS);
                return Next::Pause(pause_ms);
            }
        }
        Next::Again
    }

    fn go_on(&mut self, mut session: Session<C::Producer>) -> Next {
        match self.round(&mut session) {
            Ok(next) => {
                self.session = Some(session);
                next
            }
            Err(end) => {
                let from = session.from;
                drop(session);
                self.after(from, &end)
            }
        }
    }

    /// Takes in the answers, sends what there is, and waits where there was nothing of either.
    fn round(&mut self, session: &mut Session<C::Producer>) -> Result<Next, End> {
        session.producer.poll();
        let bound = self.parts.source.look(session.limit());
        let sent = self.send_round(session)?;
        let in_flight = {
            let mut state = session.producer.answers().state();
            if matches!(sent, Sent::Nothing | Sent::All) {
                state.window.skip_to(bound);
            }
            state.window.in_flight()
        };
        self.settle(session)?;
        Ok(match sent {
            Sent::Round => Next::Again,
            Sent::Nothing if in_flight == 0 => Next::WaitPast(bound),
            Sent::Held if in_flight == 0 => Next::Pause(HELD_MS),
            Sent::Nothing | Sent::All | Sent::Full | Sent::Held => Next::Pause(GATHER_MS),
        })
    }

    /// Hands records of this round to the producer, at most `ROUND_RECORDS`.
    fn send_round(&mut self, session: &mut Session<C::Producer>) -> Result<Sent, End> {
        let Session {
            producer, stalled, ..
        } = session;
        if let Some(held) = stalled {
            let offset = held.offset;
            let Ok(view) = RecordView::read(&held.payload) else {
                // It was parsed when it was read: read it again.
                return Err(End::Again);
            };
            if let Some(sent) = send(&mut self.renderer, producer, offset, &view, held.sent)? {
                held.sent = sent;
                return Ok(Sent::Full);
            }
            producer.answers().state().window.release(offset);
        }
        *stalled = None;
        for count in 0..ROUND_RECORDS {
            let record = match self.parts.source.next() {
                Ok(Found::Record(record)) => record,
                Ok(Found::PassedOver) => continue,
                Ok(Found::End) if count == 0 => return Ok(Sent::Nothing),
                Ok(Found::End) => return Ok(Sent::All),
                Err(SourceError::Held(error)) => {
                    tracing::error!(%error, "kafka does not go on");
                    return Ok(Sent::Held);
                }
                Err(SourceError::Read(error)) => {
                    tracing::error!(%error, "kafka cannot read the journal");
                    return Err(End::Again);
                }
            };
            let offset = record.offset;
            if let Some(sent) = send(&mut self.renderer, producer, offset, &record.view, 0)? {
                producer.answers().state().window.hold(offset);
                *stalled = Some(Stalled {
                    offset,
                    payload: record.payload.to_vec(),
                    sent,
                });
                return Ok(Sent::Full);
            }
        }
        Ok(Sent::Round)
    }

    /// Takes the answers in: dead letters, cursor, figures, and whether the session can go on.
    fn settle(&mut self, session: &Session<C::Producer>) -> Result<(), End> {
        producer::note_fatal(&session.producer);
        let answers = session.producer.answers();
        let refused = std::mem::take(&mut answers.state().refused);
        for message in refused {
            let offset = message.offset;
            // Only as a dead letter it is settled.
            self.parts.dead_letter(message)?;
            answers.state().window.settle(offset);
        }
        let (lowest, end, in_flight, broken) = {
            let state = answers.state();
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
            None if lowest >= session.limit() => Err(End::Through),
            None => Ok(()),
            Some(Broken::Unclear(code)) => {
                tracing::warn!(
                    ?code,
                    "kafka refused a batch: sending its messages one by one"
                );
                Err(End::Careful { until: end })
            }
            Some(Broken::Returned(code)) => {
                tracing::warn!(?code, "kafka does not take the records now; trying again");
                Err(End::Again)
            }
            Some(Broken::Fatal) => {
                tracing::warn!("the kafka producer failed; a new one starts at the cursor");
                Err(End::Again)
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
        let lag = parts.source.journal().durable().saturating_sub(lowest);
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        parts.metrics.lag.set(gauge(lag));
        parts.metrics.in_flight.set(gauge(in_flight as u64));
    }

    /// One look at the last answers.
    fn drain(&mut self, session: Session<C::Producer>, looks: u32) -> Next {
        session.producer.poll();
        let settled = self.settle(&session);
        let in_flight = session.producer.answers().state().window.in_flight();
        let away = self.parts.metrics.last_error().is_some();
        if settled.is_err() || in_flight == 0 || away || looks == 0 {
            return Next::Done;
        }
        self.session = Some(session);
        self.draining = Some(looks - 1);
        Next::Pause(DRAIN_MS)
    }
}

impl<P> Session<P> {
    fn limit(&self) -> u64 {
        self.until.unwrap_or(u64::MAX)
    }
}

impl Parts {
    fn dead_letter(&mut self, refused: Refused) -> Result<(), End> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let journal = self.source.journal();
        let letter = DeadLetter {
            version: DeadLetter::VERSION,
            journal: journal.id().to_owned(),
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
        journal.charge(DIR, self.dead_letters.bytes());
        self.metrics.refused.inc();
        Ok(())
    }
}

/// Hands the messages of one record to the producer, except the first `skip`. Some: the queue is
/// full after so many of them.
fn send(
    renderer: &mut Renderer,
    producer: &impl Produce,
    offset: u64,
    view: &RecordView<'_>,
    skip: usize,
) -> Result<Option<usize>, End> {
    let mut index = 0;
    let result = renderer.each(view, offset, |message| {
        if index >= skip {
            hand_over(producer, offset, message, view)?;
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

/// Hands one message over. One that the producer itself refuses for good becomes an answer.
fn hand_over(
    producer: &impl Produce,
    offset: u64,
    message: Message<'_>,
    view: &RecordView<'_>,
) -> Result<(), RDKafkaErrorCode> {
    let answers = producer.answers();
    let Err(code) = producer.send(message, offset, &view.head) else {
        answers.state().window.open(offset);
        return Ok(());
    };
    if verdict(code) != Verdict::Refused {
        return Err(code);
    }
    let mut state = answers.state();
    state.window.open(offset);
    state.refused.push(Refused {
        offset,
        topic: answers.topic(message.topic).to_owned(),
        key: message.key.map(<[u8]>::to_vec),
        value: message.value.to_vec(),
        code,
    });
    Ok(())
}
