//! Seeded lives in which a few visitors flip their membership without end, while a destination is
//! slow, full, failing or refusing and the process is killed now and then. An honest visitor's only
//! change is delivered or kept as a dead letter, and no write grows with the flips of a key.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tidegate_event::{ProfileId, SegmentId};

use super::operations::{Bench, named};
use super::world::{Hand, config};
use super::{is_found, over_all_seeds};
use crate::clock::Clock;
use crate::intent::Key;
use crate::intent::tests::{change, intent};
use crate::queue::KEY_ROWS_MAX;
use crate::retry::Answer;
use crate::settings::Settings;
use crate::simulation::{Engine, MemoryStorage, Mutant, Sent, Space, Step};
use crate::{Activation, AudienceChange, Intent};

const ACTIONS: u32 = 200;
/// Flips handed in at once, at most.
const FLIPS_MAX: u32 = 200;
/// Keys of the attackers: two profiles, two segments.
const ATTACKED: [(u128, &str); 4] = [(1, "buyers"), (1, "lookers"), (2, "buyers"), (2, "lookers")];
/// With one dead letter for each key of the attackers they all fit into `LETTERS_MAX`.
const HONEST_MAX: u128 = 6;
const LETTERS_MAX: u64 = 10;
/// Operations of one hand-in: for each attacked key some rows, one removed, a due entry, a letter
/// put and one removed, and a read; then cursor and clock.
const OPERATIONS_MAX: u64 = 4 * (KEY_ROWS_MAX as u64 + 5) + 4;
const DRAINED_WITHIN: u32 = 100_000;

struct Flood {
    random: SmallRng,
    settings: Settings,
    clock: Arc<Hand>,
    storage: MemoryStorage,
    activation: Activation,
    engine: Engine,
    mutant: Option<Mutant>,
    next: u64,
    epochs: BTreeMap<Key, u32>,
    honest: u128,
    delivered: BTreeSet<u128>,
}

fn open(settings: &Settings, clock: &Arc<Hand>, storage: &MemoryStorage) -> (Activation, Engine) {
    let given = Arc::clone(clock) as Arc<dyn Clock>;
    let storage = Arc::new(storage.clone());
    let opened = Activation::stepped(storage, given, settings.clone(), 1);
    let (activation, engine) = opened.unwrap();
    activation.set_destinations(&[config("ads")]).unwrap();
    (activation, engine)
}

impl Flood {
    fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let settings = Settings {
            outbox_rows_max: 1_000,
            destination_rows_max: *[12, 400].choose(&mut random).unwrap(),
            resident_max: *[2, 100].choose(&mut random).unwrap(),
            dead_letters_max: LETTERS_MAX,
            ..Settings::default()
        };
        let (clock, storage) = (Hand::new(), MemoryStorage::default());
        let (activation, engine) = open(&settings, &clock, &storage);
        let flood = Self {
            random,
            settings,
            clock,
            storage,
            activation,
            engine,
            mutant,
            next: 1,
            epochs: BTreeMap::new(),
            honest: 0,
            delivered: BTreeSet::new(),
        };
        flood.opened();
        flood
    }

    fn opened(&self) {
        if let Some(mutant) = self.mutant {
            self.activation.mutate(mutant);
        }
    }

    fn act(&mut self) {
        match self.random.random_range(0..20) {
            0..6 => self.attack(),
            6 => self.enter(),
            7..11 => {
                self.engine.store_step();
            }
            11..14 => {
                self.engine.look("ads");
            }
            14..17 => self.answer(),
            17..19 => self.clock.pass(self.random.random_range(0..2_000)),
            _ => self.crash(),
        }
    }

    fn change(&mut self, profile: u128, segment: &str) -> Intent {
        let key = Key {
            profile: ProfileId(profile),
            segment: SegmentId::of(segment),
        };
        let epoch = self.epochs.entry(key).or_default();
        *epoch += 1;
        let offset = self.next;
        self.next += 1;
        Intent::AudienceChange(AudienceChange {
            segment: segment.to_owned(),
            ..change(profile, *epoch, offset)
        })
    }

    fn attack(&mut self) {
        let flips = self.random.random_range(1..FLIPS_MAX);
        let mut batch = Vec::new();
        for _ in 0..flips {
            let (profile, segment) = *ATTACKED.choose(&mut self.random).unwrap();
            batch.push(self.change(profile, segment));
        }
        self.hand_in(&batch);
    }

    /// An honest visitor enters, once.
    fn enter(&mut self) {
        if self.honest < HONEST_MAX {
            self.honest += 1;
            let change = self.change(100 + self.honest, "buyers");
            self.hand_in(&[change]);
        }
    }

    /// As the collector's cursor: where a destination is full and delivers, the rest waits.
    fn hand_in(&mut self, batch: &[Intent]) {
        loop {
            let before = self.storage.operations();
            let taken = self.activation.hand_in(batch, self.next).unwrap();
            let operations = self.storage.operations() - before;
            assert!(operations <= OPERATIONS_MAX, "{operations} for one hand-in");
            if taken == self.next {
                return;
            }
            self.clock.pass(1_001);
        }
    }

    fn answer(&mut self) {
        let flights = self.engine.flights();
        if let Some(sent) = flights.choose(&mut self.random) {
            let code = *[200, 200, 400, 400, 429, 500]
                .choose(&mut self.random)
                .unwrap();
            self.answer_with(sent, code);
        }
    }

    fn answer_with(&mut self, sent: &Sent, code: u16) {
        if code == 200 {
            self.delivered.insert(sent.change.head().profile.0);
        }
        let answer = Answer::Status {
            code,
            retry_after_ms: None,
        };
        assert!(self.engine.answer("ads", sent.flight, answer));
    }

    fn crash(&mut self) {
        if self.random.random_ratio(1, 2) {
            let kept = self.random.random_range(0..=self.storage.unsynced());
            self.storage.lose_power(kept);
        }
        self.storage.reopen();
        (self.activation, self.engine) = open(&self.settings, &self.clock, &self.storage);
        self.opened();
    }

    /// Takes every step that can be taken, and lets time pass where none can.
    fn drain(&mut self) {
        for _ in 0..DRAINED_WITHIN {
            let mut moved = false;
            while self.engine.store_has_work() {
                moved |= self.engine.store_step() == Step::Again;
            }
            moved |= self.engine.look("ads").is_some();
            for sent in self.engine.flights() {
                self.answer_with(&sent, 200);
                moved = true;
            }
            let idle = !moved && !self.engine.store_has_work();
            if idle && self.activation.metrics().outbox_rows == 0 {
                return;
            }
            if idle {
                self.clock.pass(100);
            }
        }
        panic!("not delivered: {:?}", self.activation.list());
    }

    fn check_rows(&mut self) {
        while self.engine.store_has_work() {
            self.engine.store_step();
        }
        let mut rows: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
        for (key, _) in self.storage.entries(Space::Jobs) {
            *rows.entry(key[..28].to_vec()).or_default() += 1;
        }
        let most = rows.values().max().copied().unwrap_or(0);
        // Those that were answered when the process was killed are there again until a load.
        assert!(most <= 2 * KEY_ROWS_MAX, "{most} rows of one key");
    }

    fn check_honest(&self) {
        let letters = self.activation.dead_letters("ads", usize::MAX).unwrap();
        let kept = |profile: u128| {
            let id = ProfileId(profile).to_string();
            letters
                .iter()
                .any(|letter| letter.request.body.contains(&id))
        };
        for honest in 1..=self.honest {
            let profile = 100 + honest;
            let is_safe = self.delivered.contains(&profile) || kept(profile);
            assert!(is_safe, "the change of {profile} is gone");
        }
    }
}

fn live(seed: u64, mutant: Option<Mutant>) {
    let mut flood = Flood::new(seed, mutant);
    for _ in 0..ACTIONS {
        flood.act();
    }
    flood.check_rows();
    flood.drain();
    flood.check_honest();
}

#[test]
fn simulation_keeps_honest_changes_in_a_flood() {
    over_all_seeds(|seed| live(seed, None));
}

#[test]
fn simulation_of_a_flood_finds_its_mutants() {
    for mutant in [Mutant::KeyUnbounded, Mutant::OldestLetterOut] {
        assert!(
            is_found(|seed| live(seed, Some(mutant))),
            "{mutant:?} was not found"
        );
    }
}

/// Operations of one more flip after `flips` that wait.
fn operations_after(flips: u32) -> u64 {
    let bench = Bench::new(Settings::default(), &[named("ads", "buyers")]);
    for epoch in 1..=flips {
        let next = u64::from(epoch) + 1;
        let flip = [intent(1, epoch, epoch.into())];
        assert_eq!(bench.activation.hand_in(&flip, next).unwrap(), next);
    }
    let before = bench.storage.operations();
    let last = u64::from(flips) + 1;
    let flip = [intent(1, flips + 1, last)];
    bench.activation.hand_in(&flip, last + 1).unwrap();
    bench.storage.operations() - before
}

#[test]
fn a_flip_costs_the_same_after_any_number() {
    assert_eq!(operations_after(2_000), operations_after(20));
}

/// Operations until another destination's callback is sent, behind so many flips.
fn operations_behind(flips: u32) -> u64 {
    let configs = [named("ads", "buyers"), named("crm", "lookers")];
    let mut bench = Bench::new(Settings::default(), &configs);
    let last = u64::from(flips) + 1;
    let mut batch: Vec<_> = (1..=flips).map(|n| intent(1, n, n.into())).collect();
    batch.push(Intent::AudienceChange(AudienceChange {
        segment: "lookers".to_owned(),
        ..change(2, 1, last)
    }));
    let before = bench.storage.operations();
    bench.activation.hand_in(&batch, last + 1).unwrap();
    while bench.engine.flights().is_empty() {
        bench.engine.look("crm");
        bench.engine.store_step();
    }
    bench.storage.operations() - before
}

#[test]
fn flips_hold_up_no_other_destination() {
    assert_eq!(operations_behind(5_000), operations_behind(50));
}
