//! The end of a seed: input stops, every sink accepts, and all must come to rest.

use tidegate_journal::Step;

use super::life::{Life, Which, poll, position};
use super::machine::{LAG_RECORDS, LIVE_MAX};
use crate::clock::Clock;
use crate::core::checkpoint::Extent;
use crate::cursors::{activation, kafka};

/// How long all is given to come to rest once input stops and every sink accepts.
const REST_MS: u64 = 120_000;
/// One round of it, and the ticks of the real loops.
const ROUND_MS: u64 = 50;
const CHECKPOINT_MS: u64 = 1_000;
/// Something that is due fires within so long.
const DUE_SLACK_MS: i64 = 40_000;
/// Beyond `live_max` at rest.
const LIVE_SLACK: u64 = 2;

impl Life<'_, '_> {
    /// Input stops, every fault is healed: all must come to rest within a bound.
    ///
    /// # Errors
    /// What does not.
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.machine.storage.limit_space(None);
        self.machine.storage.lose_power_after(u64::MAX);
        while self.delivery.activation().has_failed() {
            self.reopen();
        }
        self.delivery.heal(&mut self.machine.outbox)?;
        if !self.store_open {
            self.exchange_store();
        }
        // Sessions end and wake-ups come due.
        self.machine.clocks.advance(7 * 3_600_000);
        let begun = self.machine.clocks.ms();
        loop {
            let ms = self.machine.clocks.ms() - begun;
            self.round(ms)?;
            self.check()?;
            let Some(moves) = self.what_moves() else {
                break;
            };
            if ms > REST_MS {
                return Err(format!("after {ms} ms without input: {moves}"));
            }
            self.machine.clocks.advance(ROUND_MS);
        }
        self.ledger.check_state(&self.core)?;
        self.ledger.callbacks.settle(self.delivery.activation())?;
        self.stays_still()
    }

    /// One turn for everything, as the real loops take theirs.
    fn round(&mut self, ms: u64) -> Result<(), String> {
        for _ in 0..2 {
            while self.core.journal().commit_step() == Step::Committed {}
            self.core.journal().prepare_step();
        }
        if self.has_failed() {
            return Err("the journal failed at rest".to_owned());
        }
        for _ in 0..8 {
            self.follow(Which::Activation)?;
            let now_ms = self.machine.clocks.ms();
            self.delivery.work(now_ms, &mut self.ledger.callbacks)?;
            self.follow(Which::Kafka)?;
            self.machine.broker.take_all(self.random);
        }
        self.look_ahead();
        self.fire();
        poll(&mut self.switch);
        if ms.is_multiple_of(CHECKPOINT_MS) {
            self.checkpoint(Extent::Due);
        }
        Ok(())
    }

    /// What has not come to rest yet.
    fn what_moves(&self) -> Option<String> {
        let journal = self.core.journal();
        let durable = journal.durable();
        let lag = |name| durable - position(&self.core, name);
        let slow = self.clock.now().plus_ms(-DUE_SLACK_MS);
        let gauges = self.core.gauges(slow);
        let checkpoint_lag = durable.saturating_sub(gauges.checkpoint_offset);
        if journal.next_offset() > durable || !self.ledger.has_read(journal) {
            Some("records are not durable".to_owned())
        } else if lag(activation::CURSOR) > 0 {
            Some(format!("activation lags by {}", lag(activation::CURSOR)))
        } else if lag(kafka::CURSOR) > 0 {
            Some(format!("kafka lags by {}", lag(kafka::CURSOR)))
        } else if self.delivery.rows() > 0 {
            Some(format!("{} callbacks wait", self.delivery.rows()))
        } else if let Some(profile) = self.ledger.overdue(slow) {
            Some(format!("what is due for profile {profile:?} has not fired"))
        } else if checkpoint_lag > LAG_RECORDS + 1 {
            Some(format!("the checkpoint lags by {checkpoint_lag}"))
        } else if gauges.profiles_live > LIVE_MAX as u64 + LIVE_SLACK {
            Some(format!("{} profiles are in memory", gauges.profiles_live))
        } else {
            None
        }
    }

    /// At rest every machine waits: nothing moves by itself.
    fn stays_still(&mut self) -> Result<(), String> {
        for which in [Which::Activation, Which::Kafka] {
            for _ in 0..20 {
                self.follow(which)?;
            }
            let around = self.around();
            let follower = match which {
                Which::Activation => &self.activation,
                Which::Kafka => &self.kafka,
            };
            if !follower.may_look() && follower.is_ready(around) {
                return Err(format!("{} does not wait at rest", which.name()));
            }
        }
        Ok(())
    }
}
