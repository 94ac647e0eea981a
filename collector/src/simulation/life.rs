//! One life of the gateway without threads: its parts, and every action that may come next.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tidegate_event::record::PAYLOAD_VERSION;
use tidegate_journal::{Cursor, CursorClass, Journal, Step};

use super::follower::{Around, Follower};
use super::ledger::Ledger;
use super::machine::{Clocks, LAG_RECORDS, LIVE_MAX, Machine};
use super::mutants::Mutant;
use super::traffic::{hit, source};
use crate::clock::{Clock, GatewayClock};
use crate::core::checkpoint::Extent;
use crate::core::{Core, Unlimited};
use crate::cursors::kafka::{self, scripted};
use crate::cursors::source::Source;
use crate::cursors::{activation, follow::Follow};
use crate::unreadable::Consumer;

/// Timers fired in one tick.
const TIMERS_PER_TICK: usize = 8;
/// How long all is given to come to rest once input stops and every sink accepts.
const REST_MS: u64 = 120_000;
/// One round of it, and the ticks of the real loops.
const ROUND_MS: u64 = 50;
const CHECKPOINT_MS: u64 = 1_000;
/// Something that is due fires within so long.
const DUE_SLACK_MS: i64 = 40_000;
/// Beyond `live_max` at rest.
const LIVE_SLACK: u64 = 2;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// See the module.
pub(super) struct Life<'r, 'w> {
    machine: &'r mut Machine<'w>,
    ledger: &'r mut Ledger,
    random: &'r mut SmallRng,
    core: Core,
    clock: Arc<GatewayClock<Clocks>>,
    activation: Follower,
    kafka: Follower,
    ledger_cursor: Cursor,
    /// Timers that wait for room in the journal.
    timers: Option<Task>,
    /// A catalog on its way into force.
    switch: Option<Task>,
    store_open: bool,
    mutant: Option<Mutant>,
}

/// Polls once; what is not ready stays for a later turn.
fn poll(task: &mut Option<Task>) {
    let mut context = Context::from_waker(Waker::noop());
    task.take_if(|task| task.as_mut().poll(&mut context).is_ready());
}

impl<'r, 'w> Life<'r, 'w> {
    /// Starts on what the last life left, and checks what was recovered.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn start(
        machine: &'r mut Machine<'w>,
        ledger: &'r mut Ledger,
        random: &'r mut SmallRng,
        mutant: Option<Mutant>,
    ) -> Result<Self, String> {
        let clock = Arc::new(GatewayClock::new(machine.clocks.clone()));
        let core = machine.start(&clock)?;
        let journal = core.journal().clone();
        let required = |name| journal.cursor(name, CursorClass::Required);
        let cursor = |name| required(name).map_err(|error| error.to_string());
        let ledger_cursor = cursor("ledger")?;
        ledger.read_on(&journal, &ledger_cursor);
        ledger.check_state(&core)?;
        let activation = activation_machine(machine, &journal, random, mutant)?;
        if mutant == Some(Mutant::UnacknowledgedSkipped) {
            machine.broker.skip_unacknowledged();
        }
        let kafka = scripted::follower(
            &machine.broker,
            racing(machine, &journal, random, Consumer::Kafka),
            cursor(kafka::CURSOR)?,
            &machine.workshop.dead_letters(),
            Arc::clone(&clock) as Arc<dyn Clock>,
        )
        .map_err(|error| error.to_string())?;
        journal.prepare_step();
        Ok(Self {
            machine,
            ledger,
            random,
            core,
            clock,
            activation: Follower::new(activation::CURSOR, activation),
            kafka: Follower::new(kafka::CURSOR, Box::new(kafka)),
            ledger_cursor,
            timers: None,
            switch: None,
            store_open: true,
            mutant,
        })
    }

    /// Does so many things in random order; ends early where the disk fails.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn run(&mut self, actions: u32) -> Result<(), String> {
        for _ in 0..actions {
            self.act()?;
            if self.has_failed() {
                break;
            }
            if self.random.random_bool(0.1) {
                self.check()?;
            }
        }
        self.check()
    }

    fn act(&mut self) -> Result<(), String> {
        match self.random.random_range(0..100) {
            0..28 => self.send(),
            28..40 => drop(self.core.journal().commit_step()),
            40..44 => self.core.journal().prepare_step(),
            44..45 => self.core.journal().mark_step(),
            45..55 => self.follow(Which::Activation)?,
            55..66 => self.follow(Which::Kafka)?,
            66..72 => self.machine.broker.act(self.random),
            72..79 => self.machine.outbox.act(self.random),
            79..83 => self
                .machine
                .clocks
                .advance(self.random.random_range(0..20_000)),
            83..86 => self.fire(),
            86..87 => self.look_ahead(),
            87..91 => self.checkpoint(Extent::Due),
            91..93 => self.machine.outbox.disturb(self.random),
            93..94 => self.configure(),
            94..95 => self.apply(),
            95..97 => self.disturb_the_disk(),
            97..98 => self.write_an_unreadable_record(),
            98..99 => self.exchange_store(),
            _ => self.set_the_clock(),
        }
        Ok(())
    }

    fn send(&mut self) {
        let now = self.clock.now();
        let hit = hit(self.random, now);
        let shop = source();
        let mut accept = Box::pin(self.core.accept(&shop, &hit, &Unlimited));
        let mut context = Context::from_waker(Waker::noop());
        // No room or no store: the client sends another time.
        let _outcome = accept.as_mut().poll(&mut context);
    }

    /// As a build with an error may.
    fn write_an_unreadable_record(&mut self) {
        let Ok(mut room) = self.core.journal().reserve(64, 1) else {
            return;
        };
        let ticket = room.ticket(self.clock.now());
        let cut = self.random.random_range(1..30);
        ticket.fill([PAYLOAD_VERSION, 9].repeat(cut));
        self.ledger.seen.unreadable += 1;
    }

    fn around(&self) -> Around {
        Around {
            now_ms: self.machine.clocks.ms(),
            durable: self.core.journal().durable(),
            has_room: self.machine.outbox.has_room(),
        }
    }

    /// Steps a cursor that is ready, or one that looks by itself.
    fn follow(&mut self, which: Which) -> Result<(), String> {
        let around = self.around();
        let follower = match which {
            Which::Activation => &mut self.activation,
            Which::Kafka => &mut self.kafka,
        };
        let early = follower.may_look() && self.random.random_bool(0.3);
        if !early && !follower.is_ready(around) {
            return Ok(());
        }
        let (core, outbox) = (&self.core, &self.machine.outbox);
        follower.step(around, || {
            let rows = activation::Outbox::cursor(outbox);
            (position(core, which.name()), rows)
        })
    }

    fn fire(&mut self) {
        if self.timers.is_none() {
            let core = self.core.clone();
            self.timers = Some(Box::pin(async move {
                let _refused = core.fire_due(TIMERS_PER_TICK).await;
            }));
        }
        poll(&mut self.timers);
    }

    fn look_ahead(&self) {
        let _closed = self.core.look_ahead();
    }

    fn checkpoint(&self, extent: Extent) {
        self.core.observe_time();
        let _closed = self.core.checkpoint(extent);
        if let Some(mutant) = self.mutant {
            mutant.after_checkpoint(self.machine.workshop, &self.core);
        }
    }

    /// Takes the destinations out of the catalog, or puts them back.
    fn configure(&mut self) {
        let wanted = !self.machine.outbox.is_wanted();
        if wanted {
            // What is durable when they come back was decided without them.
            self.ledger.wanted_from(self.core.journal().durable());
        } else {
            let cursor = position(&self.core, activation::CURSOR);
            self.ledger.unwanted_from(cursor);
        }
        self.machine.outbox.configure(wanted);
    }

    fn apply(&mut self) {
        if self.switch.is_none() {
            let core = self.core.clone();
            self.machine.generation += 1;
            let rules = self.machine.workshop.rules(self.machine.generation);
            self.switch = Some(Box::pin(async move {
                if let Ok(room) = core.catalog_room().await {
                    let _stopped = core.switch(rules, "digest", room).await;
                }
            }));
        }
        poll(&mut self.switch);
    }

    fn disturb_the_disk(&self) {
        let storage = &self.machine.storage;
        match storage.below(12) {
            0..4 => storage.limit_space(Some(storage.below(2 << 20))),
            4..11 => storage.limit_space(None),
            _ => storage.lose_power_after(storage.below(60)),
        }
    }

    /// The store's database fails, or is opened again.
    fn exchange_store(&mut self) {
        let database = (!self.store_open).then(|| self.machine.workshop.database());
        self.store_open = database.is_some();
        self.core
            .exchange_store(database)
            .expect("the database is open");
    }

    fn set_the_clock(&mut self) {
        let hours = self.random.random_range(-3..=6);
        self.machine.clocks.set(hours * 3_600_000);
    }

    fn check(&mut self) -> Result<(), String> {
        let journal = self.core.journal();
        for cursor in journal.cursors() {
            if cursor.position > journal.durable() {
                return Err(format!("cursor {} is past what is durable", cursor.name));
            }
        }
        self.ledger.read_on(journal, &self.ledger_cursor);
        let at = position(&self.core, activation::CURSOR);
        self.ledger.check_outbox(&self.machine.outbox, at)?;
        let at = position(&self.core, kafka::CURSOR);
        let dead_letters = self.machine.workshop.dead_letters();
        self.ledger
            .check_kafka(&self.machine.broker, journal.id(), at, &dead_letters)
    }

    /// The journal's disk failed: the process ends.
    pub(super) fn has_failed(&self) -> bool {
        self.core.journal().failure().is_some()
    }

    /// Whether this life ends by a stop.
    pub(super) fn ends_in_order(&mut self) -> bool {
        !self.has_failed() && self.random.random_bool(0.3)
    }

    /// The process is killed, or power fails.
    pub(super) fn break_off(self) {
        if self.has_failed() || self.random.random_bool(0.5) {
            self.machine.storage.crash();
        } else {
            self.machine.storage.kill();
        }
    }

    /// Stops in order, from whatever state it is in.
    ///
    /// # Errors
    /// Something does not end.
    pub(super) fn stop(self) -> Result<(), String> {
        self.activation.end()?;
        self.kafka.end()?;
        drop((self.timers, self.switch));
        let _closed = self.core.checkpoint(Extent::All);
        self.core.journal().shutdown();
        self.machine.storage.kill();
        Ok(())
    }

    /// Input stops, every fault is healed: all must come to rest within a bound.
    ///
    /// # Errors
    /// What does not.
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.machine.storage.limit_space(None);
        self.machine.storage.lose_power_after(u64::MAX);
        self.machine.outbox.heal();
        if !self.machine.outbox.is_wanted() {
            self.configure();
        }
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
            self.machine.outbox.work(self.random);
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
        } else if self.machine.outbox.rows() > 0 {
            Some(format!("{} callbacks wait", self.machine.outbox.rows()))
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

/// One of the two cursors with machines of their own.
#[derive(Clone, Copy, Debug)]
enum Which {
    Activation,
    Kafka,
}

impl Which {
    const fn name(self) -> &'static str {
        match self {
            Self::Activation => activation::CURSOR,
            Self::Kafka => kafka::CURSOR,
        }
    }
}

fn position(core: &Core, name: &str) -> u64 {
    let cursors = core.journal().cursors();
    let found = cursors.iter().find(|cursor| cursor.name == name);
    found.map_or(0, |cursor| cursor.position)
}

/// The journal as a cursor reads it, with commits between any two of its reads.
fn racing(
    machine: &Machine<'_>,
    journal: &Journal,
    random: &mut SmallRng,
    consumer: Consumer,
) -> Source {
    let mut source = Source::new(journal.clone(), machine.workshop.unreadable(), consumer);
    let mut random = SmallRng::seed_from_u64(random.random());
    source.meanwhile = Some(Box::new(move |journal: &Journal| {
        if random.random_bool(0.3) {
            journal.commit_step();
        }
    }));
    source
}

fn activation_machine(
    machine: &Machine<'_>,
    journal: &Journal,
    random: &mut SmallRng,
    mutant: Option<Mutant>,
) -> Result<Box<dyn Follow>, String> {
    let cursor = journal.cursor(activation::CURSOR, CursorClass::Required);
    let cursor = cursor.map_err(|error| error.to_string())?;
    let outbox = machine.outbox.clone();
    let source = racing(machine, journal, random, Consumer::Activation);
    Ok(match mutant.and_then(Mutant::follow_fault) {
        Some(fault) => Box::new(fault.follower(source, outbox, cursor)),
        None => Box::new(activation::Follower::new(source, outbox, cursor)),
    })
}
