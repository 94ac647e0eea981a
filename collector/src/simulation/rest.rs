//! The end of a seed: input stops, every sink accepts, and all must come to rest.

use tidegate_journal::Step;

use super::life::{Life, Part, Which, position};
use super::machine::{LAG_RECORDS, LIVE_MAX};
use super::turn::poll;
use crate::background::Next;
use crate::clock::Clock;
use crate::cursors::{activation, kafka};

/// How long all is given to come to rest once input stops and every sink accepts.
const REST_MS: u64 = 120_000;
/// One round of it, and the ticks of the real loops.
const ROUND_MS: u64 = 50;
/// Steps of a last catch-up before the store fails.
const LAST_STEPS: u32 = 4;
/// Rounds in which a failed store is open again.
const REOPEN_STEPS: u32 = 400;
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
        self.last_catalog();
        self.is_troubled = false;
        self.reopened()?;
        self.delivery.heal(&mut self.machine.outbox)?;
        // Sessions end and wake-ups come due.
        self.machine.clocks.advance(7 * 3_600_000);
        let begun = self.machine.clocks.ms();
        loop {
            let ms = self.machine.clocks.ms() - begun;
            self.round()?;
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

    /// A catalog comes into force, and the store fails while profiles are evaluated by it.
    fn last_catalog(&mut self) {
        self.apply();
        for _ in 0..LAST_STEPS {
            self.core.journal().commit_step();
            poll(&mut self.switch);
            self.turn(Part::CatchUp);
            self.machine.clocks.advance(2 * ROUND_MS);
        }
        self.fail_store();
        self.turn(Part::CatchUp);
    }

    /// What failed is open again after some steps.
    fn reopened(&mut self) -> Result<(), String> {
        for _ in 0..REOPEN_STEPS {
            if self.is_open() {
                return Ok(());
            }
            self.turn(Part::Upkeep);
            self.machine.clocks.advance(ROUND_MS);
        }
        Err("profiles and outbox stay closed".to_owned())
    }

    /// One turn for everything, as the real loops take theirs.
    fn round(&mut self) -> Result<(), String> {
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
        poll(&mut self.switch);
        for part in [Part::Timers, Part::CatchUp, Part::Upkeep] {
            self.turn(part);
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
        } else if self.switch.is_some() || self.catch_up.1.next != Next::Catalog {
            Some("not all profiles are evaluated after a catalog change".to_owned())
        } else {
            let behind = self.core.unevaluated().expect("the store is open");
            behind.map(|profile| {
                format!("profile {profile:?} was not evaluated by the rules in force")
            })
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
