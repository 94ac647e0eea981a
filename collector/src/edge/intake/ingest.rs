//! One request's events through the pipeline into the core, and back as result rows. The order is
//! the flow's: decode, consent, identify, enrich, accept; then one wait for durability for all of
//! them. An answer of success exists only after that wait.

use http::HeaderValue;
use http::header::{REFERER, USER_AGENT};
use smallvec::SmallVec;
use tidegate_event::{Enriched, Outcome};

use super::lookups::RequestLookups;
use super::receipt::Receipt;
use super::rows::{Row, Rows};
use super::visitor::Visitor;
use crate::bad_rows::BadRow;
use crate::catalog::{Source, SourceKind};
use crate::consent::{self, Signals};
use crate::core::Refused;
use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::limits::{Budget, Charge, Limited, NewProfiles, SourceRate};
use crate::edge::request::RawHit;
use crate::edge::sources::Sender;
use crate::edge::terms::Terms;
use crate::identity::Placeholders;
use crate::pipeline::decode::{DecodeError, Decoded, Envelope};
use crate::pipeline::enrich::{self, RequestFacts};
use crate::telemetry::traces::Stage;
use crate::tracked::Tracked;

/// Events, and bytes of them with what their batch lends them, after which other connections have a
/// turn.
const EVENTS_PER_TURN: usize = 64;
const BYTES_PER_TURN: usize = 256 << 10;

/// The answer to a readable request.
#[derive(Debug)]
pub(super) struct Ingested<'a> {
    /// One for each event, in order.
    pub(super) rows: SmallVec<[Row<'a>; 1]>,
    /// The visitor's cookie, where the pipeline wants it set.
    pub(super) set_cookie: Option<HeaderValue>,
    /// Seconds, where an event should be sent again.
    pub(super) retry_after_s: Option<u32>,
    /// What the source may still send, where it is limited.
    pub(super) budget: Option<Budget>,
}

/// Runs every event of a readable, authenticated request.
pub(super) async fn ingest<'a, A: Accept>(
    edge: &Edge<A>,
    terms: &Terms,
    hit: &RawHit<'a>,
    sender: &Sender,
    signals: Signals,
    envelope: Envelope<'a>,
) -> Ingested<'a> {
    let source = &sender.source;
    let request = Request::new(edge, hit, source, signals, &envelope);
    let mut visitor = Visitor::of(terms, hit, &envelope);
    let charges = Charges::of(edge, terms, hit, sender);
    let newcomers = NewProfiles::of(&terms.new_profiles, source, hit.client_ip);
    let tracked = Tracked::received(&edge.metrics.outcomes, envelope.events());
    let mut receipt = Receipt::new(&edge.core, tracked.of(&sender.ended));
    let mut rows = Rows::new(edge, hit, source, envelope.events());
    let (mut retry_after_s, mut budget) = (None, None);
    let mut turn = Turn::default();
    for (index, mut event) in envelope.decode().enumerate() {
        turn.take(event.bytes).await;
        let message_id = event.message_id.clone();
        drop_placeholder(&mut event, &terms.placeholders);
        let prepared = match charges.take(&event) {
            Ok(left) => {
                budget = left.or(budget);
                request.prepare(event, index, &mut visitor)
            }
            Err(limited) => {
                budget = Some(limited.budget());
                retry_after_s = retry_after_s.max(Some(limited.retry_after_s));
                Err((Outcome::RateLimited, Some(limited.to_string())))
            }
        };
        let (outcome, reason) = match prepared {
            Ok(enriched) => match edge.core.accept(source, &enriched, &newcomers).await {
                Ok(accepted) => (receipt.take(accepted), None),
                Err(refused) => {
                    retry_after_s = retry_after_s.max(retry_after(refused));
                    (outcome_of(refused), Some(refused.to_string()))
                }
            },
            Err(end) => end,
        };
        // What the core took ends with its receipt; all else ends here.
        if reason.is_some() || outcome == Outcome::ConsentDenied {
            receipt.end(outcome);
        }
        rows.push(Row {
            message_id,
            outcome,
            reason,
        });
    }
    hit.ended(Stage::Decided);
    let waited = receipt.wait().await;
    hit.ended(Stage::Durable);
    if let Err(refused) = waited {
        retry_after_s = retry_after_s.max(retry_after(refused));
        rows.fail_waiting(refused);
    }
    Ingested {
        rows: rows.answered(),
        set_cookie: visitor.set_cookie(),
        retry_after_s,
        budget,
    }
}

/// How long a batch has kept its thread.
#[derive(Default)]
struct Turn {
    events: usize,
    bytes: usize,
}

impl Turn {
    /// Lets others have a turn before this event, where it is their turn.
    async fn take(&mut self, bytes: usize) {
        if self.is_over(bytes) {
            tokio::task::yield_now().await;
        }
    }

    /// Adds one event; whether others have a turn before it.
    fn is_over(&mut self, bytes: usize) -> bool {
        let over = self.events >= EVENTS_PER_TURN || self.bytes >= BYTES_PER_TURN;
        if over {
            *self = Self::default();
        }
        self.events += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        over
    }
}

/// A message id such as `undefined` would make all events but the first duplicates.
fn drop_placeholder(event: &mut Decoded<'_>, placeholders: &Placeholders) {
    if let Ok(hit) = &mut event.hit {
        hit.message_id = hit.message_id.take().filter(|id| !placeholders.holds(id));
    }
}

/// The rates that a request's events are taken off.
struct Charges<'e, A> {
    edge: &'e Edge<A>,
    sender: &'e Sender,
    address: Charge<'e>,
}

impl<'e, A: Accept> Charges<'e, A> {
    fn of(edge: &'e Edge<A>, terms: &'e Terms, hit: &RawHit<'_>, sender: &'e Sender) -> Self {
        let address = Charge::of(&terms.address_events, &sender.source, hit.client_ip);
        Self {
            edge,
            sender,
            address,
        }
    }

    /// Takes one event off its address' rate, then off the source's: one address cannot use up what
    /// a source may send by events that are refused. Gives what is left of the source's rate.
    ///
    /// Duplicates are not charged, so that a batch that is sent again makes progress with each try.
    fn take(&self, event: &Decoded<'_>) -> Result<Option<Budget>, Limited> {
        let limited = self.sender.rate.is_some() || self.address.is_limited();
        let is_copy = |hit| self.edge.core.knows(&self.sender.source, hit);
        if !limited || event.hit.as_ref().is_ok_and(is_copy) {
            return Ok(None);
        }
        if let Err(limited) = self.address.take() {
            self.edge.metrics.limits.address_limited_events.inc();
            return Err(limited);
        }
        self.sender
            .rate
            .as_deref()
            .map(SourceRate::take)
            .transpose()
    }
}

/// How a refusal of the core ends the event.
const fn outcome_of(refused: Refused) -> Outcome {
    match refused {
        Refused::Full { .. }
        | Refused::Unacknowledged { .. }
        | Refused::CopyPending { .. }
        | Refused::ProfilesFull { .. }
        | Refused::Contended { .. }
        | Refused::StoreClosed { .. }
        | Refused::Stopped => Outcome::Overloaded,
        Refused::NewProfiles { .. } => Outcome::RateLimited,
        Refused::TooLarge => Outcome::TooLarge,
        Refused::Store => Outcome::Internal,
    }
}

const fn retry_after(refused: Refused) -> Option<u32> {
    match refused {
        Refused::Full { retry_after_s }
        | Refused::Unacknowledged { retry_after_s }
        | Refused::CopyPending { retry_after_s }
        | Refused::NewProfiles { retry_after_s }
        | Refused::ProfilesFull { retry_after_s }
        | Refused::Contended { retry_after_s }
        | Refused::StoreClosed { retry_after_s } => Some(retry_after_s),
        Refused::Store | Refused::Stopped | Refused::TooLarge => None,
    }
}

/// What all events of a request share.
struct Request<'a, 'e, A> {
    edge: &'e Edge<A>,
    source: &'e Source,
    signals: Signals,
    facts: RequestFacts<'a>,
    lookups: RequestLookups<'a, 'e>,
    single: bool,
}

impl<'a, 'e, A> Request<'a, 'e, A> {
    fn new(
        edge: &'e Edge<A>,
        hit: &RawHit<'a>,
        source: &'e Source,
        signals: Signals,
        envelope: &Envelope<'_>,
    ) -> Self {
        Self {
            edge,
            source,
            signals,
            facts: RequestFacts {
                received_at: hit.received_at,
                client_ip: Some(hit.client_ip),
                user_agent: hit.header_lossy(USER_AGENT),
                referer: hit.header_lossy(REFERER),
                from_back_end: source.kind == SourceKind::Server,
            },
            lookups: RequestLookups::of(&*edge.enrichment, hit),
            single: envelope.single,
        }
    }

    /// Steps 1 to 4 for one event, or how and why it ends here.
    fn prepare(
        &self,
        event: Decoded<'a>,
        index: usize,
        visitor: &mut Visitor<'a>,
    ) -> Result<Enriched<'a>, (Outcome, Option<String>)> {
        let Decoded { raw, hit, .. } = event;
        let hit = hit.map_err(|error| self.bad(&error, &raw, index))?;
        let consented = consent::resolve(hit, &self.signals, self.source)
            .map_err(|_refused| (Outcome::ConsentDenied, None))?;
        let identified = visitor.identify(consented, self.source);
        Ok(enrich::enrich(identified, &self.facts, &self.lookups))
    }

    #[cold]
    fn bad(&self, error: &DecodeError, raw: &str, index: usize) -> (Outcome, Option<String>) {
        let reason = error.to_string();
        let mut path = String::from("$");
        if !self.single {
            path.push_str(&format!(".batch[{index}]"));
        }
        if error.path() != "$" {
            path.push('.');
            path.push_str(error.path());
        }
        self.edge.bad_rows.keep(&BadRow {
            at: self.facts.received_at,
            source: &self.source.name,
            outcome: error.outcome(),
            reason: &reason,
            path: &path,
            payload: raw.as_bytes(),
            is_json: true,
        });
        (error.outcome(), Some(reason))
    }
}
