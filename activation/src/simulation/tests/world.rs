//! One life: a stepped activation, its storage and clock, the journal that feeds it and the random
//! actions around it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tidegate_event::{Change, ProfileId, SegmentId, Timestamp};

use super::ledger::Ledger;
use crate::clock::Clock;
use crate::destinations::webhook;
use crate::intent::{AudienceChange, Head, Intent, Key};
use crate::replay::ReplayWhich;
use crate::retry::Answer;
use crate::settings::{DestinationConfig, Limits, RetryPolicy, Settings};
use crate::simulation::{Engine, MemoryStorage, Mutant, Sent, Space, Step};
use crate::{Activation, dead_letter::DeadLetter};

const START: i64 = 1_795_355_327_974;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NAMES: [&str; 3] = ["ads", "mail", "crm"];
const HOUR: i64 = 3_600_000;
/// Once all is well again everything is delivered within this, milliseconds.
const DRAINED_WITHIN_MS: i64 = 20_000;
/// Steps without the clock moving, at most.
const SPINS_MAX: u32 = 2_000;

#[derive(Debug)]
pub(super) struct Hand(AtomicI64);

impl Hand {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START)))
    }

    pub(super) fn pass(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

pub(super) struct World {
    random: SmallRng,
    clock: Arc<Hand>,
    storage: MemoryStorage,
    activation: Activation,
    engine: Engine,
    mutant: Option<Mutant>,
    /// Applied last.
    configs: Vec<DestinationConfig>,
    journal: Vec<Intent>,
    next_offset: u64,
    epochs: BTreeMap<Key, u32>,
    /// Everything below is taken.
    handed: u64,
    ledger: Ledger,
}

fn settings() -> Settings {
    Settings {
        outbox_rows_max: 60,
        destination_rows_max: 30,
        resident_max: 4,
        dead_letters_max: 12,
        dead_letters_max_age_ms: 48 * 3_600_000,
        ..Settings::default()
    }
}

pub(super) fn config(name: &str) -> DestinationConfig {
    let url = format!("https://{name}.example/");
    let mut config = DestinationConfig::new(name, webhook::kind(&url, SECRET), &["*"]);
    config.retry = RetryPolicy {
        base_ms: 100,
        cap_ms: 5_000,
        pause_ms: 50,
        ..RetryPolicy::default()
    };
    config
}

impl World {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let (clock, storage) = (Hand::new(), MemoryStorage::default());
        let mut random = SmallRng::seed_from_u64(seed);
        let (activation, engine) = open(&storage, &clock, random.random());
        let mut world = Self {
            random,
            clock,
            storage,
            activation,
            engine,
            mutant,
            configs: Vec::new(),
            journal: Vec::new(),
            next_offset: 1,
            epochs: BTreeMap::new(),
            handed: 0,
            ledger: Ledger::default(),
        };
        world.opened();
        world.apply();
        world
    }

    pub(super) fn act(&mut self) {
        match self.random.random_range(0..100) {
            0..14 => self.record(),
            14..28 => self.hand_in(),
            28..48 => {
                self.engine.store_step();
            }
            48..66 => self.look(),
            66..82 => self.answer(),
            82..89 => self.pass_time(),
            89..91 => self.apply(),
            91..92 => self.enable(),
            92..94 => self.replay(),
            94..95 => self.break_storage(),
            95..98 => self.reopen_if_failed(),
            _ => self.crash(),
        }
    }

    /// A record of one to three changes becomes durable.
    fn record(&mut self) {
        let offset = self.next_offset;
        self.next_offset += self.random.random_range(1..4);
        for _ in 0..self.random.random_range(1..4) {
            let profile = ProfileId(self.random.random_range(1..9));
            let segment = *["buyers", "lookers"].choose(&mut self.random).unwrap();
            let key = Key {
                profile,
                segment: SegmentId::of(segment),
            };
            let same = |other: &Intent| other.offset() == offset && other.key() == key;
            if self.journal.iter().any(same) {
                continue;
            }
            let epoch = self.epochs.entry(key).or_default();
            *epoch += 1;
            self.journal.push(Intent::AudienceChange(AudienceChange {
                head: Head {
                    offset,
                    profile,
                    anonymous_id: None,
                    user_id: None,
                    occurred_at: self.clock.now(),
                },
                segment: segment.to_owned(),
                change: if epoch.is_multiple_of(2) {
                    Change::Exit
                } else {
                    Change::Enter
                },
                epoch: *epoch,
                reason: None,
                merged_into: None,
            }));
        }
    }

    /// As the collector's cursor: what no destination wants is passed over, the rest is handed in,
    /// now and then from too far back.
    fn hand_in(&mut self) {
        if self.activation.wants_nothing() {
            assert!(self.configs.is_empty(), "destinations want changes");
            self.handed = self.next_offset;
            return;
        }
        let back = self.random.random_range(0..4) * self.random.random_range(0..4);
        // What was passed over is not handed in later: the journal's own cursor is behind it.
        let passed_over = self.handed > self.activation.cursor();
        let first = self
            .handed
            .saturating_sub(if passed_over { 0 } else { back });
        let batch = self.journal.iter().filter(|one| one.offset() >= first);
        let batch: Vec<_> = batch.cloned().collect();
        match self.activation.hand_in(&batch, self.next_offset) {
            Ok(taken) => self.took(taken),
            Err(_) => assert!(self.activation.has_failed()),
        }
    }

    fn took(&mut self, taken: u64) {
        let new = self.handed..taken;
        for change in self
            .journal
            .iter()
            .filter(|one| new.contains(&one.offset()))
        {
            for config in &self.configs {
                self.ledger.expect(&config.name, change);
            }
        }
        self.handed = self.handed.max(taken);
    }

    fn look(&mut self) {
        let workers = self.engine.workers();
        let Some(name) = workers.choose(&mut self.random) else {
            return;
        };
        self.look_of(name);
    }

    fn look_of(&mut self, name: &str) {
        let before = self.engine.flights();
        self.engine.look(name);
        let wall_s = self.clock.now().0.div_euclid(1_000);
        for sent in self.engine.flights() {
            if !before.contains(&sent) {
                assert_eq!(
                    sent.header("webhook-timestamp"),
                    wall_s.to_string(),
                    "signed by the wall clock"
                );
                self.ledger.sent(&sent);
            }
        }
    }

    fn answer(&mut self) {
        let flights = self.engine.flights();
        let Some(sent) = flights.choose(&mut self.random) else {
            return;
        };
        let status = |code| Answer::Status {
            code,
            retry_after_ms: None,
        };
        let asked = self.random.random_range(0..8_000);
        let answer = match self.random.random_range(0..20) {
            0 => status(500),
            1 => status(404),
            2 => status(400),
            3 => Answer::Timeout,
            4 => Answer::Connect,
            5 => Answer::Status {
                code: 429,
                retry_after_ms: Some(asked),
            },
            6 if self.random.random_ratio(1, 4) => status(410),
            7 if self.random.random_ratio(1, 2) => status(401),
            _ => status(200),
        };
        self.answer_with(sent, answer);
    }

    fn answer_with(&mut self, sent: &Sent, answer: Answer) {
        if let Answer::Status {
            code: 200..=299, ..
        } = answer
        {
            self.ledger.accepted(sent);
        }
        let known = self.engine.answer(&sent.destination, sent.flight, answer);
        assert!(known, "a flight is answered once");
    }

    fn pass_time(&mut self) {
        let ms = match self.random.random_range(0..12) {
            0 => self.random.random_range(-6 * HOUR..0),
            1 => self.random.random_range(0..6 * HOUR),
            2..4 => self.random.random_range(0..60_000),
            _ => self.random.random_range(0..2_000),
        };
        self.clock.pass(ms);
    }

    fn apply(&mut self) {
        let mut configs = Vec::new();
        for name in NAMES {
            if self.random.random_ratio(3, 4) {
                configs.push(self.some_config(name));
            }
        }
        if self.random.random_ratio(1, 6) {
            configs.clear();
        }
        self.apply_these(configs);
    }

    fn some_config(&mut self, name: &str) -> DestinationConfig {
        let mut config = config(name);
        config.linger_ms = *[0, 0, 300].choose(&mut self.random).unwrap();
        config.limits = Limits {
            rps: *[3, 1_000].choose(&mut self.random).unwrap(),
            concurrency: self.random.random_range(1..6),
            timeout_ms: 1_000,
        };
        config
    }

    fn apply_these(&mut self, configs: Vec<DestinationConfig>) {
        // Applied again where a read failed, as people do.
        let mut applied = self.activation.set_destinations(&configs);
        while applied.is_err() && !self.activation.has_failed() {
            applied = self.activation.set_destinations(&configs);
        }
        self.configs = configs;
    }

    fn enable(&mut self) {
        let name = *NAMES.choose(&mut self.random).unwrap();
        let _left_or_closed = self.activation.enable(name);
    }

    fn replay(&mut self) {
        let name = *NAMES.choose(&mut self.random).unwrap();
        let which = if self.random.random_ratio(1, 2) {
            ReplayWhich::All
        } else {
            let letters = self.letters(name);
            ReplayWhich::Ids(letters.iter().take(2).map(|letter| letter.id).collect())
        };
        let _left_or_closed = self.activation.replay(name, which);
    }

    fn break_storage(&mut self) {
        let count = self.random.random_range(1..4);
        if self.random.random_ratio(1, 2) {
            self.storage.fail_reads(count);
        } else {
            self.storage.fail_write_after(count - 1);
        }
    }

    fn reopen_if_failed(&mut self) {
        if !self.activation.has_failed() {
            return;
        }
        self.count_drops();
        self.activation.close_stepped();
        // Destinations may change while it is closed.
        if self.random.random_ratio(1, 2) {
            self.apply();
        }
        if self.random.random_ratio(1, 2) {
            self.hand_in();
        }
        self.storage.reopen();
        let (storage, seed) = (Arc::new(self.storage.clone()), self.random.random());
        self.engine = self.activation.reopen_stepped(storage, seed).unwrap();
        self.opened();
    }

    /// A kill leaves what was written, a loss of power only what was synced and some of the rest.
    fn crash(&mut self) {
        self.count_drops();
        let stored = self.activation.cursor();
        let failed = self.activation.has_failed();
        if self.random.random_ratio(1, 2) {
            let kept = self.random.random_range(0..=self.storage.unsynced());
            self.storage.lose_power(kept);
        }
        self.storage.reopen();
        let seed = self.random.random();
        (self.activation, self.engine) = open(&self.storage, &self.clock, seed);
        assert!(
            failed || self.activation.cursor() >= stored,
            "the cursor is as durable as the rows"
        );
        self.opened();
        let configs = self.configs.clone();
        self.apply_these(configs);
    }

    /// What the cursor says is taken; what is of no configured destination is dropped.
    fn opened(&mut self) {
        if let Some(mutant) = self.mutant {
            self.activation.mutate(mutant);
        }
        self.ledger.reopened();
        let cursor = self.activation.cursor();
        self.took(cursor);
        for name in NAMES {
            if self.configs.iter().all(|config| config.name != name) {
                self.ledger.forget(name);
            }
        }
    }

    fn count_drops(&mut self) {
        for one in self.activation.metrics().destinations {
            self.ledger.dropped += one.dead_dropped + one.dead_aged;
            self.ledger.replaced += one.coalesced + one.superseded;
        }
    }

    fn letters(&self, name: &str) -> Vec<DeadLetter> {
        let letters = self.activation.dead_letters(name, usize::MAX);
        letters.unwrap_or_default()
    }

    /// Storage works, every destination is configured, enabled and accepts.
    pub(super) fn heal(&mut self) {
        self.reopen_if_failed();
        self.storage.reopen();
        self.apply_these(NAMES.map(config).to_vec());
        self.reopen_if_failed();
        for name in NAMES {
            self.activation.enable(name).unwrap();
        }
    }

    /// Takes every step that can be taken, and lets time pass only where none can.
    pub(super) fn drain(&mut self) {
        let (mut spins, mut waited_ms) = (0, 0);
        while !self.is_drained() {
            if self.step_all() {
                spins += 1;
                assert!(spins < SPINS_MAX, "it spins: {:?}", self.activation.list());
                continue;
            }
            spins = 0;
            let look = self.engine.looks_within().unwrap_or(Duration::MAX);
            let wait = self
                .activation
                .capacity_within()
                .map_or(look, |wait| wait.min(look));
            let ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX).max(1);
            waited_ms += ms;
            assert!(
                waited_ms <= DRAINED_WITHIN_MS,
                "not delivered in time: {:?}; stored rows {:02x?}, due entries {:02x?}",
                self.activation.list(),
                self.stored_keys(Space::Jobs),
                self.stored_keys(Space::Due),
            );
            self.clock.pass(ms);
        }
    }

    fn stored_keys(&self, space: Space) -> Vec<Vec<u8>> {
        let entries = self.storage.entries(space);
        entries.into_iter().map(|(key, _)| key).collect()
    }

    fn step_all(&mut self) -> bool {
        let mut moved = false;
        if self.handed < self.next_offset {
            let before = self.handed;
            self.hand_in();
            moved |= self.handed > before;
        }
        while self.engine.store_has_work() {
            moved |= self.engine.store_step() == Step::Again;
        }
        for name in self.engine.workers() {
            if self.engine.may_look(&name) {
                self.look_of(&name);
                moved = true;
            }
        }
        let ok = Answer::Status {
            code: 200,
            retry_after_ms: None,
        };
        for sent in self.engine.flights() {
            self.answer_with(&sent, ok);
            moved = true;
        }
        moved
    }

    fn is_drained(&self) -> bool {
        let metrics = self.activation.metrics();
        self.handed == self.next_offset
            && metrics.outbox_rows == 0
            && self.engine.flights().is_empty()
            && !self.engine.store_has_work()
    }

    pub(super) fn check(&mut self) {
        self.count_drops();
        assert_eq!(self.storage.entries(Space::Jobs), [], "nothing is left");
        for destination in self.activation.inner().destinations() {
            assert!(
                destination.queue.lock().is_empty(),
                "no key stays in memory"
            );
        }
        let mut dead = BTreeSet::new();
        let mut counted = 0;
        for status in self.activation.list() {
            counted += status.dead_letters;
            assert_eq!(status.queued, 0);
        }
        let stored = self.storage.entries(Space::Dead);
        assert_eq!(counted, stored.len() as u64, "dead letters are counted");
        for name in NAMES {
            for letter in self.letters(name) {
                let of = |intent: &&Intent| {
                    let Intent::AudienceChange(change) = intent;
                    change.segment == letter.segment
                        && change.epoch == letter.epoch
                        && letter.delivery_id == webhook::webhook_id(name, intent)
                };
                let change = self.journal.iter().find(of).unwrap();
                dead.insert((name.to_owned(), change.key(), change.offset()));
            }
        }
        self.ledger.settle(&dead);
    }
}

pub(super) fn open(storage: &MemoryStorage, clock: &Arc<Hand>, seed: u64) -> (Activation, Engine) {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Activation::stepped(Arc::new(storage.clone()), clock, settings(), seed).unwrap()
}
