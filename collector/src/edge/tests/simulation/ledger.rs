//! What one life promised its clients, held against what it counted and what it stored.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tidegate_event::Outcome;
use tidegate_event::record::{Fold, RecordView};

use super::traffic::{End, Expected, Sent};
use super::world::Gateway;
use crate::tracked::Outcomes;

/// Source and message id.
type Id = (String, String);

/// What stands in the journal, over all lives.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Everything below was read.
    upto: u64,
    /// Events by what the client called them.
    ids: BTreeSet<Id>,
    /// Events, also those without an id.
    events: u64,
}

/// One life's answers.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    answered: BTreeMap<Outcome, u64>,
    /// Images with status 200: accepted or duplicate, one cannot tell.
    taken_images: u64,
    /// Events of requests whose client went away: any end, or none where they never arrived.
    abandoned: u64,
    acked: BTreeSet<Id>,
    /// Events in the journal when the life began.
    stored_before: u64,
}

impl Stored {
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Reads on to the durable end, as a sink does, and lets the journal go of what was read.
    pub(super) fn read_on(&mut self, gateway: &Gateway) {
        let journal = gateway.core.journal();
        let durable = journal.durable();
        if self.upto == durable {
            return;
        }
        let mut reader = journal.reader(self.upto).unwrap();
        while let Some(frame) = reader.next_below(durable).unwrap() {
            let head = RecordView::read(frame.payload).unwrap().head;
            if matches!(head.fold, Fold::Event(_)) {
                self.events += 1;
                let id = (head.source.to_owned(), head.message_id.to_owned());
                assert!(self.ids.insert(id), "stored twice: {}", head.message_id);
            }
        }
        self.upto = durable;
        gateway.cursor.advance(durable);
    }
}

impl Ledger {
    pub(super) fn new(stored: &Stored) -> Self {
        Self {
            stored_before: stored.events,
            ..Self::default()
        }
    }

    /// The client of this request is gone.
    pub(super) fn abandon(&mut self, expected: &Expected) {
        self.abandoned += expected.events();
    }

    /// Judges one answer by what was sent, and keeps what it promised.
    pub(super) async fn answer(&mut self, expected: &Expected, response: Response<Full<Bytes>>) {
        let status = response.status();
        let retry = response.headers().contains_key(RETRY_AFTER);
        assert_eq!(status == 503, retry, "Retry-After goes with 503: {status}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        match expected {
            Expected::Nothing => {}
            Expected::Image(sent) => self.image(sent, status),
            Expected::Whole(outcome) => {
                let json: Value = serde_json::from_slice(&body).unwrap();
                self.whole(*outcome, status, &json);
            }
            Expected::Rows(sent) => {
                let json: Value = serde_json::from_slice(&body).unwrap();
                match json["results"].as_array() {
                    Some(rows) => self.rows(sent, status, rows),
                    None => self.whole(Outcome::Overloaded, status, &json),
                }
            }
        }
    }

    fn end(&mut self, outcome: Outcome) {
        *self.answered.entry(outcome).or_default() += 1;
    }

    fn image(&mut self, sent: &Sent, status: StatusCode) {
        match (status.as_u16(), sent.end) {
            (503, _) => self.end(Outcome::Overloaded),
            (200, End::Taken) => {
                self.taken_images += 1;
                self.acked.extend(id_of(sent));
            }
            (status, End::Always(outcome)) if status == status_of(outcome) => self.end(outcome),
            other => panic!("an image for {sent:?} came with {other:?}"),
        }
    }

    fn whole(&mut self, outcome: Outcome, status: StatusCode, json: &Value) {
        let code = json["code"].as_str().unwrap();
        let outcome = if code == "overloaded" {
            Outcome::Overloaded
        } else {
            outcome
        };
        assert_eq!(code, outcome.as_str(), "{json}");
        let why = json["detail"].as_str().unwrap_or_default();
        let expected = if why.ends_with("in time") {
            408
        } else {
            status_of(outcome)
        };
        assert_eq!(status.as_u16(), expected, "{json}");
        self.end(outcome);
    }

    fn rows(&mut self, sent: &[Sent], status: StatusCode, rows: &[Value]) {
        assert_eq!(sent.len(), rows.len(), "a result for each event");
        let mut outcomes = Vec::with_capacity(rows.len());
        for (sent, row) in sent.iter().zip(rows) {
            assert_eq!(row["message_id"].as_str(), sent.message_id.as_deref());
            let word = row["outcome"].as_str().unwrap();
            let found = Outcome::ALL.into_iter().find(|o| o.as_str() == word);
            let outcome = found.unwrap();
            match (sent.end, outcome) {
                (End::Always(only), outcome) => assert_eq!(outcome, only, "{row}"),
                (End::Taken, Outcome::Accepted | Outcome::Duplicate) => {
                    self.acked.extend(id_of(sent));
                }
                (End::Taken, outcome) => assert_eq!(outcome, Outcome::Overloaded, "{row}"),
            }
            self.end(outcome);
            outcomes.push(outcome);
        }
        assert_eq!(status.as_u16(), status_of_all(&outcomes), "{outcomes:?}");
    }

    /// With nothing in work: received is the sum of the outcomes, what was counted is what was
    /// answered, and what is in the journal is what was accepted.
    pub(super) fn assert_it_adds_up(&self, when: &str, gateway: &Gateway, stored: &Stored) {
        let outcomes = &gateway.outcomes;
        let ended: u64 = Outcome::ALL.iter().map(|o| outcomes.ended(*o)).sum();
        assert_eq!(
            outcomes.received(),
            ended,
            "{when}: received = sum of outcomes"
        );
        self.assert_counts_agree(when, outcomes);
        for id in &self.acked {
            assert!(stored.ids.contains(id), "{when}: acked, not stored: {id:?}");
        }
        let journaled = stored.events - self.stored_before;
        let accepted = outcomes.ended(Outcome::Accepted);
        let unsure = outcomes.ended(Outcome::Overloaded);
        if gateway.core.journal().failure().is_some() || gateway.acked.is_some() {
            // The record was taken, its receipt never came: the client was told to send it again.
            let most = accepted + unsure;
            assert!(
                (accepted..=most).contains(&journaled),
                "{when}: {journaled}"
            );
        } else {
            assert_eq!(
                journaled, accepted,
                "{when}: accepted = events in the journal"
            );
        }
    }

    fn assert_counts_agree(&self, when: &str, outcomes: &Outcomes) {
        let (mut unanswered, mut unanswered_taken) = (0, 0);
        for outcome in Outcome::ALL {
            let answered = self.answered.get(&outcome).copied().unwrap_or(0);
            let counted = outcomes.ended(outcome);
            assert!(
                counted >= answered,
                "{when}: {} counted {counted}, answered {answered}",
                outcome.as_str()
            );
            unanswered += counted - answered;
            if matches!(outcome, Outcome::Accepted | Outcome::Duplicate) {
                unanswered_taken += counted - answered;
            }
        }
        let most = self.taken_images + self.abandoned;
        assert!(unanswered_taken >= self.taken_images, "{when}: images");
        assert!(
            (self.taken_images..=most).contains(&unanswered),
            "{when}: {unanswered} counted that nobody was told of, {self:?}"
        );
        if self.abandoned == 0 {
            assert_eq!(outcomes.ended(Outcome::Internal), 0, "{when}");
        }
    }
}

fn id_of(sent: &Sent) -> Option<Id> {
    Some((sent.source.to_owned(), sent.message_id.clone()?))
}

/// The documented status of one outcome.
fn status_of(outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Accepted | Outcome::Duplicate | Outcome::ConsentDenied => 200,
        Outcome::Invalid => 400,
        Outcome::Unauthorized => 401,
        Outcome::TooLarge => 413,
        Outcome::RateLimited => 429,
        Outcome::Internal => 500,
        Outcome::Overloaded => 503,
    }
}

/// The documented status of a request with these results.
fn status_of_all(outcomes: &[Outcome]) -> u16 {
    if outcomes.contains(&Outcome::Overloaded) {
        503
    } else if outcomes.iter().any(|outcome| outcome.is_success()) {
        200
    } else if outcomes.contains(&Outcome::Invalid) {
        400
    } else {
        413
    }
}
