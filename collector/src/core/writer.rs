//! The journal side: space for records, the time and the ids that they carry, and when they are
//! durable. What stands in them is `step`'s.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tidegate_event::record::{CatalogFold, Fold, Record};
use tidegate_event::{Enriched, Purposes, Timestamp};
use tidegate_journal::{Full, FullReason, Journal, Purpose, Reservation};
use tokio::sync::watch;

use super::metrics::CoreMetrics;
use super::{CoreSettings, Mint, Refused};
use crate::clock::Clock;
use crate::decide::Segments;
use crate::pipeline::record_json;

/// Records of one hit, at most: 1 event, 3 merges, 1 session start or merge, 2 session ends (one
/// overdue, one to make room), 1 `session_continued` of another profile.
const RECORDS_MAX: usize = 8;
/// Merges among them.
const MERGES_MAX: usize = 3;
/// Bytes of a record beside what the client sent and the transitions.
const RECORD_BASE_BYTES: usize = 4_096;
/// What a page view may need in the journal: the most of its JSON beside what the client sent, and
/// two KiB of that. Less would answer ready where every hit is refused.
const SMALL_HIT_BYTES: usize = 4_096;
/// Room for the record of a catalog change, bytes.
const CATALOG_BYTES: usize = 1_024;

/// See the module.
pub(super) struct Writer {
    journal: Journal,
    clock: Arc<dyn Clock>,
    mint: Mint,
    /// Bytes of one record.
    record_bytes_max: usize,
    /// Offset below which Kafka acknowledged all; set where `ack` says so.
    acked: OnceLock<watch::Receiver<u64>>,
    ack_timeout: Duration,
}

impl Writer {
    pub(super) fn new(
        journal: Journal,
        clock: Arc<dyn Clock>,
        mint: Mint,
        settings: &CoreSettings,
    ) -> Self {
        Self {
            journal,
            clock,
            mint,
            record_bytes_max: settings.record_bytes_max,
            acked: OnceLock::new(),
            ack_timeout: Duration::from_millis(settings.ack_timeout_ms),
        }
    }

    pub(super) const fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The gateway's time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A random id.
    pub(super) fn mint(&self) -> u128 {
        (self.mint)()
    }

    /// A random message id, for a record that no client named.
    pub(super) fn message_id(&self) -> String {
        uuid::Uuid::from_u128(self.mint()).to_string()
    }

    /// Space for a hit's record and for all that it may bring about.
    ///
    /// # Errors
    /// [`Refused::TooLarge`], [`Refused::Full`]
    pub(super) fn reserve_hit(
        &self,
        hit: &Enriched<'_>,
        segments: &Segments,
    ) -> Result<Reservation, Refused> {
        let sent = record_json::event_bytes_max(hit)
            // In the head as well as in the JSON.
            + hit.hit.traits.raw.len()
            + hit.hit.name.len();
        let (record, system) = record_bytes(segments, sent);
        if record > self.record_bytes_max {
            return Err(Refused::TooLarge);
        }
        let space = self.journal.reserve(record + system, RECORDS_MAX);
        space.map_err(|full| refused(full.retry_after_ms))
    }

    /// Asks the journal for the room of a small hit, and gives it back.
    ///
    /// # Errors
    /// [`Full`]: such a hit would be refused now.
    pub(super) fn room(&self, segments: &Segments) -> Result<(), Full> {
        let (record, system) = record_bytes(segments, SMALL_HIT_BYTES);
        let room = self.journal.reserve(record + system, RECORDS_MAX);
        room.map(drop)
    }

    /// Space for the record of one timer.
    ///
    /// # Errors
    /// [`Refused::Stopped`], [`Refused::Full`]
    pub(super) fn reserve_timer(&self, segments: &Segments) -> Result<Reservation, Refused> {
        let bytes = timer_bytes(segments);
        let space = self.journal.reserve_for(Purpose::Timer, bytes, 1);
        space.map_err(|full| match full {
            Full {
                reason: FullReason::Closed,
                ..
            } => Refused::Stopped,
            Full { retry_after_ms, .. } => refused(retry_after_ms),
        })
    }

    /// Resolves when the journal has space for a timer's record, or takes none any more.
    pub(super) async fn timer_space(&self, bytes: usize) {
        let space = self.journal.reserve_wait_for(Purpose::Timer, bytes, 1);
        drop(space.await);
    }

    /// Space for the record of a catalog change, for as long as the caller waits.
    ///
    /// # Errors
    /// [`Refused::Stopped`]
    pub(super) async fn catalog_room(&self) -> Result<Reservation, Refused> {
        let journal = &self.journal;
        let room = journal.reserve_wait_for(Purpose::Control, CATALOG_BYTES, 1);
        room.await.map_err(|_ended| Refused::Stopped)
    }

    /// Writes that a catalog is the current one; says at which offset.
    pub(super) fn write_catalog(
        &self,
        generation: u32,
        digest: &str,
        mut room: Reservation,
    ) -> u64 {
        let ticket = room.ticket(self.now());
        let offset = ticket.offset();
        let record = Record {
            generation,
            decided_at: ticket.decided_at(),
            profile: None,
            anonymous_id: None,
            user_id: None,
            source: "",
            kind: "system",
            event: "catalog",
            message_id: &self.message_id(),
            event_time: ticket.decided_at(),
            purposes: Purposes::NONE,
            transitions: Vec::new(),
            fold: Fold::Catalog(CatalogFold { digest }),
        };
        let payload = record
            .write(Vec::with_capacity(512), |out| {
                record_json::write_system(out, &record);
            })
            .expect("a catalog record is small");
        ticket.fill(payload);
        offset
    }

    /// Resolves when `offset` is durable.
    ///
    /// # Errors
    /// [`Refused::Stopped`]: it never will be.
    pub(super) async fn durable(&self, offset: u64) -> Result<(), Refused> {
        let durable = self.journal.wait_durable(offset).await;
        durable.map_err(|_| Refused::Stopped)
    }

    /// Resolves when Kafka acknowledged `offset`; at once where no reply waits for Kafka.
    ///
    /// # Errors
    /// [`Refused::Stopped`], [`Refused::Unacknowledged`]
    pub(super) async fn acknowledged(
        &self,
        offset: u64,
        metrics: &CoreMetrics,
    ) -> Result<(), Refused> {
        let Some(acked) = self.acked.get() else {
            return Ok(());
        };
        let mut acked = acked.clone();
        let acknowledged = acked.wait_for(|next| *next > offset);
        match tokio::time::timeout(self.ack_timeout, acknowledged).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Refused::Stopped),
            Err(_) => {
                metrics.ack_timeouts.inc();
                Err(Refused::Unacknowledged { retry_after_s: 5 })
            }
        }
    }

    /// From now on replies wait for Kafka.
    pub(super) fn acknowledge_by(&self, acked: watch::Receiver<u64>) {
        // Set once, when the gateway is wired; a second call would change nothing.
        let _ = self.acked.set(acked);
    }
}

/// Room for an event's own record, of which `sent` bytes are the client's, and for all that it may
/// bring about.
fn record_bytes(segments: &Segments, sent: usize) -> (usize, usize) {
    let transitions = segments.transition_bytes_max();
    let record = RECORD_BASE_BYTES + sent + transitions;
    let system = (RECORDS_MAX - 1) * (RECORD_BASE_BYTES + 2 * transitions)
        + MERGES_MAX * 2 * segments.disabled_bytes_max();
    (record, system)
}

/// Room for the record of one timer.
pub(super) fn timer_bytes(segments: &Segments) -> usize {
    RECORD_BASE_BYTES + 2 * segments.transition_bytes_max()
}

fn refused(retry_after_ms: u64) -> Refused {
    let seconds = u32::try_from(retry_after_ms.div_ceil(1_000));
    Refused::Full {
        retry_after_s: seconds.unwrap_or(1).max(1),
    }
}
