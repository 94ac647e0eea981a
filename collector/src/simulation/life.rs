//! One life of the gateway without threads: its parts, and every action that may come next.

use std::future::Future as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Waker};

use fjall::Database;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tidegate_event::record::PAYLOAD_VERSION;
use tidegate_journal::{Cursor, CursorClass, Journal};

use super::delivery::Delivery;
use super::follower::{Around, Follower};
use super::ledger::Ledger;
use super::machine::{Clocks, Machine};
use super::mutants::Mutant;
use super::stores::SimulatedStores;
use super::traffic::hit;
use super::turn::{Task, Turn, poll};
use crate::background::{CatchUp, Machine as _, Next, Timers, Upkeep};
use crate::clock::{Clock, GatewayClock};
use crate::core::checkpoint::Extent;
use crate::core::{Core, Unlimited};
use crate::cursors::kafka::{self, scripted};
use crate::cursors::source::Source;
use crate::cursors::{activation, follow::Follow};
use crate::unreadable::Consumer;

/// Eight a tick.
const TIMERS_PER_SECOND: u32 = 160;
/// One a tick, so that much can come between two.
const EVALUATED_PER_SECOND: u32 = 20;

/// See the module.
pub(super) struct Life<'r, 'w> {
    pub(super) machine: &'r mut Machine<'w>,
    pub(super) ledger: &'r mut Ledger,
    pub(super) random: &'r mut SmallRng,
    pub(super) core: Core,
    pub(super) clock: Arc<GatewayClock<Clocks>>,
    pub(super) delivery: Delivery,
    pub(super) activation: Follower,
    pub(super) kafka: Follower,
    ledger_cursor: Cursor,
    timers: (Timers, Turn),
    pub(super) catch_up: (CatchUp, Turn),
    upkeep: (Upkeep<Database>, Turn),
    /// Databases may be locked or damaged when they are opened again.
    pub(super) is_troubled: bool,
    /// A catalog on its way into force.
    pub(super) switch: Option<Task>,
    mutant: Option<Mutant>,
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
        let delivery = Delivery::start(
            &mut machine.outbox,
            Arc::clone(&clock) as Arc<dyn tidegate_activation::Clock>,
            random.random(),
            mutant.and_then(Mutant::delivery),
            &mut ledger.callbacks,
        )?;
        let activation = activation_machine(machine, &delivery, &journal, random, mutant)?;
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
        let rate = Arc::new(AtomicU32::new(TIMERS_PER_SECOND));
        let timers = (Timers::new(core.clone(), rate), Turn::new());
        let slow = Arc::new(AtomicU32::new(EVALUATED_PER_SECOND));
        let catch_up = CatchUp::new(core.clone(), slow);
        Ok(Self {
            machine,
            ledger,
            random,
            core,
            clock,
            delivery,
            activation: Follower::new(activation::CURSOR, activation),
            kafka: Follower::new(kafka::CURSOR, Box::new(kafka)),
            ledger_cursor,
            timers,
            catch_up: (catch_up, Turn::new()),
            upkeep: (Upkeep::default(), Turn::new()),
            is_troubled: true,
            switch: None,
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
            72..79 => self.deliver()?,
            79..83 => self
                .machine
                .clocks
                .advance(self.random.random_range(0..20_000)),
            83..86 => self.turn(Part::Timers),
            86..88 => self.turn(Part::CatchUp),
            88..92 => self.turn(Part::Upkeep),
            92..93 => self.delivery.disturb(self.random),
            93..94 => self.configure(),
            94..95 => self.apply(),
            95..97 => self.disturb_the_disk(),
            97..98 => self.write_an_unreadable_record(),
            98..99 => self.fail_store(),
            _ => self.set_the_clock(),
        }
        Ok(())
    }

    fn send(&mut self) {
        let (source, hit) = hit(self.random);
        let hit = hit.enriched(self.clock.now());
        let mut accept = Box::pin(self.core.accept(&source, &hit, &Unlimited));
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

    pub(super) fn around(&self) -> Around {
        Around {
            now_ms: self.machine.clocks.ms(),
            durable: self.core.journal().durable(),
            has_capacity: self.delivery.has_capacity(),
        }
    }

    /// Steps a cursor that is ready, or one that looks by itself.
    pub(super) fn follow(&mut self, which: Which) -> Result<(), String> {
        let around = self.around();
        let follower = match which {
            Which::Activation => &mut self.activation,
            Which::Kafka => &mut self.kafka,
        };
        let early = follower.may_look() && self.random.random_bool(0.3);
        if !early && !follower.is_ready(around) {
            return Ok(());
        }
        let (core, outbox) = (&self.core, self.delivery.activation());
        follower.step(around, || (position(core, which.name()), outbox.cursor()))?;
        let passed = position(core, activation::CURSOR).max(outbox.cursor());
        let destinations = self.machine.outbox.in_force();
        self.ledger.callbacks.passed(passed, destinations);
        Ok(())
    }

    fn deliver(&mut self) -> Result<(), String> {
        let now_ms = self.machine.clocks.ms();
        let callbacks = &mut self.ledger.callbacks;
        self.delivery.act(self.random, now_ms, callbacks)
    }

    /// Steps a machine of the background that is due, or one that looks by itself.
    pub(super) fn turn(&mut self, part: Part) {
        let now_ms = self.machine.clocks.ms();
        let turn = match part {
            Part::Timers => &mut self.timers.1,
            Part::CatchUp => &mut self.catch_up.1,
            Part::Upkeep => &mut self.upkeep.1,
        };
        if !turn.is_due(now_ms) && !self.random.random_bool(0.3) {
            return;
        }
        let next = match part {
            Part::Timers => self.timers.0.step(),
            Part::CatchUp => self.catch_up.0.step(),
            Part::Upkeep => self.upkeep_step(),
        };
        let turn = match part {
            Part::Timers => &mut self.timers.1,
            Part::CatchUp => &mut self.catch_up.1,
            Part::Upkeep => &mut self.upkeep.1,
        };
        turn.stepped(next, &self.core, now_ms);
    }

    fn upkeep_step(&mut self) -> Next {
        let mut stores = SimulatedStores {
            core: &self.core,
            delivery: &mut self.delivery,
            disk: &mut self.machine.outbox,
            callbacks: &mut self.ledger.callbacks,
            random: self.random,
            database: self.machine.workshop.database(),
            is_troubled: self.is_troubled,
        };
        let next = self.upkeep.0.step(&self.core, &mut stores, |_| ());
        if let Some(mutant) = self.mutant {
            mutant.after_checkpoint(self.machine.workshop, &self.core);
        }
        next
    }

    /// The profiles' store takes no writes any more.
    pub(super) fn fail_store(&self) {
        let closed = self.core.exchange_store(None);
        closed.expect("nothing is opened");
    }

    /// Profiles and outbox take writes.
    pub(super) fn is_open(&self) -> bool {
        self.core.store_takes_writes() && !self.delivery.activation().has_failed()
    }

    fn configure(&mut self) {
        let disk = &mut self.machine.outbox;
        self.delivery.configure(disk, self.random);
    }

    pub(super) fn apply(&mut self) {
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

    fn set_the_clock(&mut self) {
        let hours = self.random.random_range(-3..=6);
        self.machine.clocks.set(hours * 3_600_000);
    }

    pub(super) fn check(&mut self) -> Result<(), String> {
        let journal = self.core.journal();
        for cursor in journal.cursors() {
            if cursor.position > journal.durable() {
                return Err(format!("cursor {} is past what is durable", cursor.name));
            }
        }
        self.ledger.read_on(journal, &self.ledger_cursor);
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
        let metrics = self.delivery.activation().metrics();
        self.ledger.callbacks.count(&metrics);
        if self.has_failed() || self.random.random_bool(0.5) {
            self.machine.storage.crash();
            self.machine.outbox.crash(self.random);
        } else {
            self.machine.storage.kill();
        }
    }

    /// Stops in order, from whatever state it is in.
    ///
    /// # Errors
    /// Something does not end.
    pub(super) fn stop(mut self) -> Result<(), String> {
        self.activation.end()?;
        self.kafka.end()?;
        drop((self.timers, self.catch_up, self.upkeep, self.switch));
        self.delivery.close(&mut self.ledger.callbacks);
        let _closed = self.core.checkpoint(Extent::All);
        self.core.journal().shutdown();
        self.machine.storage.kill();
        Ok(())
    }
}

/// One of the machines of the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Timers,
    CatchUp,
    Upkeep,
}

/// One of the two cursors with machines of their own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Activation,
    Kafka,
}

impl Which {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Activation => activation::CURSOR,
            Self::Kafka => kafka::CURSOR,
        }
    }
}

pub(super) fn position(core: &Core, name: &str) -> u64 {
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
    delivery: &Delivery,
    journal: &Journal,
    random: &mut SmallRng,
    mutant: Option<Mutant>,
) -> Result<Box<dyn Follow>, String> {
    let cursor = journal.cursor(activation::CURSOR, CursorClass::Required);
    let cursor = cursor.map_err(|error| error.to_string())?;
    let outbox = delivery.activation().clone();
    let source = racing(machine, journal, random, Consumer::Activation);
    Ok(match mutant.and_then(Mutant::follow_fault) {
        Some(fault) => Box::new(fault.follower(source, outbox, cursor)),
        None => Box::new(activation::Follower::new(source, outbox, cursor)),
    })
}
