//! Delivery as it is: the real activation crate over storage in memory, each of its steps an action
//! of its own, and three destinations that answer well, badly and late.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use rand::Rng;
use rand::rngs::SmallRng;
use tidegate_activation::destinations::webhook;
use tidegate_activation::retry::Answer;
use tidegate_activation::simulation::{Engine, MemoryStorage, Mutant, Sent, Step};
use tidegate_activation::{
    Activation, Clock, DestinationConfig, Limits, ReopenError, RetryPolicy, Settings,
};

use super::callbacks::Callbacks;

pub(super) const DESTINATIONS: [&str; 3] = ["good", "failing", "slow"];
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TIMEOUT_MS: u64 = 1_000;
/// The slow destination needs so long.
const SLOW_MS: u64 = 600;
/// Rounds without the clock moving that count as a spin.
const ROUNDS_MAX: u32 = 200;

/// What outlives the process.
#[derive(Debug)]
pub(super) struct OutboxDisk {
    pub(super) storage: MemoryStorage,
    /// Destinations of the catalog.
    listed: Vec<&'static str>,
    /// Destinations that hand-ins go to: those of the catalog, or of the one before while the
    /// outbox is closed.
    in_force: Vec<&'static str>,
}

impl OutboxDisk {
    pub(super) fn new() -> Self {
        Self {
            storage: MemoryStorage::default(),
            listed: DESTINATIONS.to_vec(),
            in_force: Vec::new(),
        }
    }

    pub(super) fn in_force(&self) -> &[&'static str] {
        &self.in_force
    }

    /// Power fails: some of what was not synced is gone.
    pub(super) fn crash(&self, random: &mut SmallRng) {
        let kept = random.random_range(0..=self.storage.unsynced());
        self.storage.lose_power(kept);
    }
}

fn settings() -> Settings {
    Settings {
        outbox_rows_max: 12,
        destination_rows_max: 5,
        resident_max: 2,
        // None is dropped: what is lost was lost by mistake.
        dead_letters_max: 100_000,
        dead_letters_max_age_ms: 10_000 * 86_400_000,
        ..Settings::default()
    }
}

fn config(name: &&'static str) -> DestinationConfig {
    let url = format!("https://{name}.example/");
    let mut config = DestinationConfig::new(name, webhook::kind(&url, SECRET), &["*"]);
    config.retry = RetryPolicy {
        base_ms: 100,
        cap_ms: 5_000,
        pause_ms: 50,
        ..RetryPolicy::default()
    };
    config.limits = Limits {
        rps: 100,
        concurrency: 3,
        timeout_ms: TIMEOUT_MS,
    };
    config
}

/// One life of it. See the module.
pub(super) struct Delivery {
    activation: Activation,
    engine: Engine,
    storage: MemoryStorage,
    /// When each request was sent, on the monotonic clock.
    sent_at_ms: BTreeMap<(String, u64), u64>,
}

impl Delivery {
    /// Opens the outbox as a start does.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) fn start(
        disk: &mut OutboxDisk,
        clock: Arc<dyn Clock>,
        seed: u64,
        mutant: Option<Mutant>,
        callbacks: &mut Callbacks,
    ) -> Result<Self, String> {
        disk.storage.reopen();
        let storage = Arc::new(disk.storage.clone());
        let opened = Activation::stepped(storage, clock, settings(), seed);
        let (activation, engine) = opened.map_err(|error| error.to_string())?;
        if let Some(mutant) = mutant {
            activation.mutate(mutant);
        }
        let mut delivery = Self {
            activation,
            engine,
            storage: disk.storage.clone(),
            sent_at_ms: BTreeMap::new(),
        };
        delivery.opened(disk, callbacks);
        delivery.list(disk, disk.listed.clone());
        Ok(delivery)
    }

    /// What was stored is what the cursor says, whatever the last write answered.
    fn opened(&mut self, disk: &mut OutboxDisk, callbacks: &mut Callbacks) {
        callbacks.passed(self.activation.cursor(), &disk.in_force);
        callbacks.reopened(&disk.listed);
        disk.in_force.clone_from(&disk.listed);
        self.sent_at_ms.clear();
    }

    pub(super) fn activation(&self) -> &Activation {
        &self.activation
    }

    /// Closes it, as before its database is opened again.
    pub(super) fn close(&mut self, callbacks: &mut Callbacks) {
        callbacks.count(&self.activation.metrics());
        self.activation.close_stepped();
    }

    /// Opens it again.
    ///
    /// # Errors
    /// It stays closed.
    pub(super) fn reopen(
        &mut self,
        disk: &mut OutboxDisk,
        seed: u64,
        callbacks: &mut Callbacks,
    ) -> Result<(), ReopenError> {
        self.storage.reopen();
        let storage = Arc::new(self.storage.clone());
        self.engine = self.activation.reopen_stepped(storage, seed)?;
        self.opened(disk, callbacks);
        Ok(())
    }

    /// The next hand-in may get on.
    pub(super) fn has_capacity(&self) -> bool {
        self.activation.capacity_within().is_none()
    }

    /// Some steps of it, in random order.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn act(
        &mut self,
        random: &mut SmallRng,
        now_ms: u64,
        callbacks: &mut Callbacks,
    ) -> Result<(), String> {
        for _ in 0..random.random_range(1..8) {
            match random.random_range(0..10) {
                0..3 => drop(self.engine.store_step()),
                3..6 => {
                    let at = random.random_range(0..DESTINATIONS.len());
                    self.look(DESTINATIONS[at], now_ms, callbacks)?;
                }
                _ => self.answer_some(random, now_ms, callbacks)?,
            }
        }
        Ok(())
    }

    fn look(&mut self, name: &str, now_ms: u64, callbacks: &mut Callbacks) -> Result<(), String> {
        self.engine.look(name);
        for sent in self.engine.flights() {
            let flight = (sent.destination.clone(), sent.flight);
            if let Entry::Vacant(new) = self.sent_at_ms.entry(flight) {
                new.insert(now_ms);
                callbacks.sent(&sent)?;
            }
        }
        Ok(())
    }

    /// Answers a request as its destination does.
    fn answer_some(
        &mut self,
        random: &mut SmallRng,
        now_ms: u64,
        callbacks: &mut Callbacks,
    ) -> Result<(), String> {
        let flights = self.engine.flights();
        if flights.is_empty() {
            return Ok(());
        }
        let sent = &flights[random.random_range(0..flights.len())];
        let flight = (sent.destination.clone(), sent.flight);
        let waited_ms = now_ms - self.sent_at_ms[&flight];
        let answer = match sent.destination.as_str() {
            _ if waited_ms >= sent.timeout_ms => Answer::Timeout,
            "slow" if waited_ms < SLOW_MS => return Ok(()),
            "failing" => failure(random),
            _ if random.random_bool(0.05) => failure(random),
            _ => status(200),
        };
        self.answer(sent, answer, callbacks)
    }

    fn answer(
        &mut self,
        sent: &Sent,
        answer: Answer,
        callbacks: &mut Callbacks,
    ) -> Result<(), String> {
        if answer == status(200) {
            callbacks.accepted(sent)?;
        }
        self.sent_at_ms
            .remove(&(sent.destination.clone(), sent.flight));
        let known = self.engine.answer(&sent.destination, sent.flight, answer);
        known
            .then_some(())
            .ok_or("a request was not known".to_owned())
    }

    /// Storage fails at one of the next operations.
    pub(super) fn disturb(&self, random: &mut SmallRng) {
        match random.random_range(0..4) {
            0 => self.storage.fail_after_write(),
            1 => self.storage.fail_reads(random.random_range(1..4)),
            _ => self.storage.fail_write_after(random.random_range(0..3)),
        }
    }

    /// Another catalog: some of the destinations, now and then none.
    pub(super) fn configure(&mut self, disk: &mut OutboxDisk, random: &mut SmallRng) {
        let mut names = DESTINATIONS.to_vec();
        names.retain(|_| random.random_bool(0.75));
        if random.random_bool(0.2) {
            names.clear();
        }
        self.list(disk, names);
    }

    fn list(&mut self, disk: &mut OutboxDisk, names: Vec<&'static str>) {
        let configs: Vec<_> = names.iter().map(config).collect();
        disk.listed = names;
        // Applied again where a read failed, as people do.
        while let Err(_failed) = self.activation.set_destinations(&configs) {
            if self.activation.has_failed() {
                return;
            }
        }
        if !self.activation.has_failed() {
            disk.in_force.clone_from(&disk.listed);
        }
    }

    /// All destinations are there and enabled. The outbox is open.
    ///
    /// # Errors
    /// One is not.
    pub(super) fn heal(&mut self, disk: &mut OutboxDisk) -> Result<(), String> {
        self.storage.reopen();
        self.list(disk, DESTINATIONS.to_vec());
        for name in DESTINATIONS {
            let enabled = self.activation.enable(name);
            enabled.map_err(|error| format!("{name} was not enabled: {error}"))?;
        }
        Ok(())
    }

    /// Takes every step that can be taken before time passes; every destination accepts.
    ///
    /// # Errors
    /// It spins, or what does not hold.
    pub(super) fn work(&mut self, now_ms: u64, callbacks: &mut Callbacks) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            let mut moved = false;
            while self.engine.store_has_work() {
                moved |= self.engine.store_step() == Step::Again;
            }
            for name in DESTINATIONS {
                if self.engine.may_look(name) {
                    self.look(name, now_ms, callbacks)?;
                    moved = true;
                }
            }
            for sent in self.engine.flights() {
                self.answer(&sent, status(200), callbacks)?;
                moved = true;
            }
            if !moved {
                return Ok(());
            }
        }
        Err("delivery spins: its steps do not end before time passes".to_owned())
    }

    /// Callbacks that wait.
    pub(super) fn rows(&self) -> u64 {
        self.activation.metrics().outbox_rows
    }
}

const fn status(code: u16) -> Answer {
    Answer::Status {
        code,
        retry_after_ms: None,
    }
}

fn failure(random: &mut SmallRng) -> Answer {
    match random.random_range(0..12) {
        0..3 => status(500),
        3 => status(404),
        4..6 => status(400),
        6 => Answer::Timeout,
        7 => Answer::Connect,
        8 => Answer::Status {
            code: 429,
            retry_after_ms: Some(random.random_range(0..8_000)),
        },
        9 if random.random_bool(0.3) => status(410),
        10 => status(401),
        _ => status(200),
    }
}
