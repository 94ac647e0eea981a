//! The core against a reference: whatever happens, the live state, the recovered state and a plain
//! fold of the whole journal are the same, field by field.

mod bounds;
mod clock_steps;
mod stored_timers;
mod expiry;
mod shared_devices;
mod unreadable;
mod store_holds;
mod open_sessions;
mod device_limit;
mod disabled_segments;
mod traits;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tidegate_event::record::{Fold, RecordView, TransitionRef};
use tidegate_event::{Change, ProfileId, Timestamp};
use tidegate_journal::Journal;
use tidegate_journal::storage::RealStorage;

use super::checkpoint::Extent;
use super::metrics::CoreMetrics;
use super::{Core, CoreSettings, Lookup, Newcomers, OpenError, Parts, Refused, Unlimited};
use crate::catalog::{Catalog, Segment, Source};
use crate::clock::{Clock, GatewayClock};
use crate::decide::Rules;
use crate::decide::module::ModuleName;
use crate::fixture::{self, TestHit};
use crate::pipeline::record_json::schema;
use crate::profile::{Profile, fold, merge};
use crate::unreadable::Unreadable;

const MINUTE: i64 = 60_000;

/// The clocks of a machine: the wall clock, which may step, and the other.
#[derive(Debug)]
struct TestClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicI64,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall_ms.load(Ordering::Relaxed))
    }
    fn monotonic_us(&self) -> u64 {
        let ms = self.monotonic_ms.load(Ordering::Relaxed);
        ms.unsigned_abs() * 1_000
    }
}

fn clock_at(wall_ms: i64) -> Arc<GatewayClock<TestClock>> {
    Arc::new(GatewayClock::new(TestClock {
        wall_ms: AtomicI64::new(wall_ms),
        monotonic_ms: AtomicI64::new(0),
    }))
}

struct World {
    directory: tempfile::TempDir,
    clock: Arc<GatewayClock<TestClock>>,
    random: Arc<Mutex<SmallRng>>,
    generation: u32,
    segments: Vec<(&'static str, &'static str)>,
    disabled: Vec<&'static str>,
    core: Option<Core>,
    lag_records: u64,
    live_max: usize,
    disk_max: u64,
    merges_per_hour_max: u32,
}

const SEGMENTS: [(&str, &str); 6] = [
    (
        "pricing",
        r#"page.path.startsWith("/pricing") && session.page_views >= 2"#,
    ),
    ("busy", r#"count(event.type == "page", "30m") >= 3"#),
    (
        "abandoned",
        r#"absent(event.name == "Order Completed", event.name == "Cart", "20m")"#,
    ),
    ("regulars", "profile.sessions >= 2"),
    ("named", "profile.identified"),
    (
        "spenders",
        r#"sum(properties.revenue, event.name == "Order Completed", "1h") > 50.0"#,
    ),
];

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            directory: tempfile::tempdir().unwrap(),
            clock: clock_at(1_800_000_000_000),
            random: Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))),
            generation: 1,
            segments: SEGMENTS.to_vec(),
            disabled: Vec::new(),
            core: None,
            lag_records: 50,
            live_max: 1_000,
            disk_max: 1 << 30,
            merges_per_hour_max: 1_000,
        };
        world.open();
        world
    }

    fn core(&self) -> &Core {
        self.core.as_ref().unwrap()
    }

    fn catalog(&self) -> Catalog {
        let segment = |(name, when): &(&str, &str)| Segment {
            name: (*name).to_owned(),
            when: (*when).to_owned(),
            wake_up_max_delay_ms: 86_400_000,
        };
        Catalog {
            segments: self.segments.iter().map(segment).collect(),
            disabled_segments: self.disabled.iter().map(|name| (*name).into()).collect(),
            ..Catalog::default()
        }
    }

    fn open(&mut self) {
        self.core = Some(self.opened().unwrap());
    }

    fn opened(&self) -> Result<Core, OpenError> {
        let directory = self.directory.path();
        let settings = tidegate_journal::Settings {
            segment_bytes: 4 << 20,
            ..tidegate_journal::Settings::default()
        };
        let journal =
            Journal::open(&directory.join("journal"), Arc::new(RealStorage), settings).unwrap();
        let database = fjall::Database::builder(directory.join("state"))
            .open()
            .unwrap();
        let random = Arc::clone(&self.random);
        let parts = Parts {
            journal,
            database,
            settings: CoreSettings {
                record_bytes_max: 1 << 20,
                traits_bytes_max: 512,
                identifiers_max: 50,
                merges_per_hour_max: self.merges_per_hour_max,
                live_max: self.live_max,
                retention_ms: 30 * 86_400_000,
                disk_max: self.disk_max,
                lag_records: self.lag_records,
                disk_budget: 1 << 30,
                dedup_window_ms: 86_400_000,
                dedup_entries_max: 10_000,
                ack_timeout_ms: 1_000,
                evaluators: 1,
            },
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            mint: Arc::new(move || random.lock().random()),
            catalog: self.catalog(),
            generation: self.generation,
            compiled: None,
            metrics: CoreMetrics::register(&mut Registry::default()),
            unreadable: Unreadable::new(directory, &mut Registry::default()),
        };
        Core::open(parts, |_| ())
    }

    /// Ends the process without any goodbye to the state: no checkpoint, no flush.
    async fn crash(&mut self) {
        let core = self.core.take().unwrap();
        let end = core.journal().next_offset();
        if end > 0 {
            core.durable(end - 1).await.unwrap();
        }
        core.journal().shutdown();
        drop(core);
        self.open();
    }

    /// Puts the segments in force as a new generation.
    async fn apply(&mut self) {
        self.generation += 1;
        let rules = self.core().prepare(&self.catalog(), self.generation);
        let room = self.core().catalog_room().await.unwrap();
        let switched = self.core().switch(rules.unwrap(), "digest", room);
        switched.await.unwrap();
    }

    /// Runs a catch-up to its end, in small pages; says how many profiles it evaluated.
    fn catch_up(&self) -> usize {
        let mut evaluated = 0;
        loop {
            let page = self.core().catch_up(1).unwrap();
            evaluated += page.changed.len();
            for id in page.changed {
                self.core().evaluate_now(id).unwrap();
            }
            if page.done {
                return evaluated;
            }
        }
    }

    fn advance(&self, ms: i64) {
        let machine = self.clock.machine();
        machine.monotonic_ms.fetch_add(ms, Ordering::Relaxed);
        machine.wall_ms.fetch_add(ms, Ordering::Relaxed);
        // The gateway reads its clock many times a second.
        self.clock.now();
    }

    fn step_wall(&self, ms: i64) {
        let machine = self.clock.machine();
        machine.wall_ms.fetch_add(ms, Ordering::Relaxed);
        self.clock.now();
    }

    async fn hit(&self, hit: &TestHit) -> super::Accepted {
        let now = self.clock.now();
        let enriched = hit.enriched(now);
        self.core()
            .accept(&source(), &enriched, &Unlimited)
            .await
            .unwrap()
    }

    fn live(&self) -> BTreeMap<ProfileId, Profile> {
        let mut profiles = BTreeMap::new();
        self.core()
            .each_profile(|profile| {
                profiles.insert(profile.id, profile.clone());
            })
            .unwrap();
        profiles
    }

    async fn reference(&self) -> BTreeMap<ProfileId, Profile> {
        let journal = self.core().journal();
        let end = journal.next_offset();
        if end > 0 {
            self.core().durable(end - 1).await.unwrap();
        }
        reference_fold(journal)
    }

    async fn assert_state_is_the_fold(&self, when: &str) {
        let (live, reference) = (self.live(), self.reference().await);
        assert_eq!(live.len(), reference.len(), "{when}: number of profiles");
        for (id, profile) in &live {
            assert_eq!(Some(profile), reference.get(id), "{when}");
        }
    }
}

/// The whole journal folded one record after another, with nothing but the fold.
fn reference_fold(journal: &Journal) -> BTreeMap<ProfileId, Profile> {
    let mut profiles: BTreeMap<ProfileId, Profile> = BTreeMap::new();
    let mut reader = journal.reader(0).unwrap();
    while let Some(frame) = reader.next_below(u64::MAX).unwrap() {
        let view = RecordView::read(frame.payload).unwrap();
        let mut json = Vec::new();
        view.write_json(journal.id(), frame.offset, &mut json);
        let json = String::from_utf8(json).unwrap();
        assert_eq!(schema::violations(&json), [""; 0], "{json}");
        let head = view.head;
        let Some(id) = head.profile else { continue };
        let loser = match &head.fold {
            Fold::ProfileMerged(merged) => profiles.remove(&merged.loser),
            _ => None,
        };
        let profile = profiles.entry(id).or_insert_with(|| Profile::new(id));
        fold::record(profile, loser.as_ref(), &head, frame.offset);
        if let Some(mut loser) = loser {
            merge::retire(&mut loser, id, frame.offset);
            profiles.insert(loser.id, loser);
        }
    }
    profiles
}

fn source() -> Source {
    fixture::source(1_800_000)
}

fn random_hit(random: &mut SmallRng) -> TestHit {
    let device = format!("device-{}", random.random_range(0..12));
    let user = format!("user-{}", random.random_range(0..5));
    let late_ms = if random.random_bool(0.3) {
        random.random_range(0..90 * MINUTE)
    } else {
        0
    };
    let mut hit = match random.random_range(0..13) {
        0..5 => TestHit::page(
            &device,
            ["/", "/pricing", "/pricing/pro"][random.random_range(0..3)],
        ),
        5..7 => TestHit::track(
            &device,
            ["Cart", "Order Completed"][random.random_range(0..2)],
        ),
        7 => TestHit {
            user_id: Some("user-0".to_owned()),
            name: "Ping",
            ..TestHit::default()
        },
        8..10 => TestHit::identify(&device, &user),
        10 => TestHit::alias(&user, &device),
        11 => TestHit {
            cookie_id: Some(format!("cookie-{}", random.random_range(0..12))),
            ..TestHit::page(&device, "/pricing")
        },
        _ => TestHit {
            is_anonymous: true,
            ..TestHit::page(&device, "/pricing")
        },
    };
    hit.late_ms = late_ms;
    hit.message_id = Some(random.random::<u64>().to_string());
    if hit.name == "Order Completed" {
        hit.properties = format!(r#"{{"revenue":{}}}"#, random.random_range(1..60));
    }
    if hit.name == "identify" {
        hit.traits = format!(r#"{{"plan":"{}"}}"#, random.random_range(0..3));
    }
    hit
}

#[tokio::test]
async fn a_rule_that_runs_out_of_fuel_is_counted() {
    let mut world = World::new(1);
    // Fuel is checked in loops: both stages look for a text in a longer one.
    world.segments = vec![(
        "long",
        r#"count(page.path.contains("aab"), "1h") > 5 || page.path.contains("aac")"#,
    )];
    let limits = tidegate_rules_wasm::Limits {
        fuel_base: 0,
        fuel_per_rule: 1,
        ..tidegate_rules_wasm::Limits::default()
    };
    let engine = tidegate_rules_wasm::Engine::new(limits).unwrap();
    let rules = Rules::load(&engine, &world.catalog(), 2, 1).unwrap();
    let room = world.core().catalog_room().await.unwrap();
    world.core().switch(rules, "digest", room).await.unwrap();
    let counted = &world.core().0.state.metrics.rule_traps;
    let traps = || counted.of(ModuleName::Expressions);
    assert_eq!(traps(), 0);
    let hit = TestHit::page(
        "device",
        "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    );
    let _accepted = world.hit(&hit).await;
    assert_eq!(traps(), 2, "the conditions and the segments");
    let _accepted = world.hit(&hit).await;
    assert_eq!(traps(), 4, "each trap once");
}

async fn random_life(seed: u64, steps: u32) {
    let mut world = World::new(seed);
    let mut random = SmallRng::seed_from_u64(seed ^ 0xdead_beef);
    for _ in 0..steps {
        match random.random_range(0..100) {
            0..70 => {
                let hit = random_hit(&mut random);
                let hit = hit.enriched(world.clock.now());
                let source = match random.random_bool(0.1) {
                    true => fixture::server_source(1_800_000),
                    false => source(),
                };
                let accepted = world.core().accept(&source, &hit, &Unlimited).await;
                accepted.unwrap();
            }
            70..85 => world.advance(random.random_range(0..20 * MINUTE)),
            85..92 => {
                world.core().fire_due(100).unwrap();
            }
            92..96 => {
                let end = world.core().journal().next_offset();
                if end > 0 {
                    world.core().durable(end - 1).await.unwrap();
                }
                world.core().checkpoint(Extent::Due).unwrap();
            }
            96..98 => {
                world.generation += 1;
                let keep = random.random_range(1..=SEGMENTS.len());
                world.segments = SEGMENTS[..keep].to_vec();
                let rules = world
                    .core()
                    .prepare(&world.catalog(), world.generation)
                    .unwrap();
                let room = world.core().catalog_room().await.unwrap();
                world.core().switch(rules, "digest", room).await.unwrap();
            }
            _ => {
                world.crash().await;
                world.assert_state_is_the_fold("after a crash").await;
            }
        }
    }
    world
        .assert_state_is_the_fold(&format!("seed {seed}, before the last crash"))
        .await;
    world.crash().await;
    world
        .assert_state_is_the_fold(&format!("seed {seed}, after the last crash"))
        .await;
}

#[tokio::test]
async fn live_state_recovered_state_and_a_plain_fold_are_the_same() {
    let seeds: u64 = std::env::var("TIDEGATE_SIM_SEEDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(12);
    for seed in 0..seeds.min(64) {
        random_life(seed, 300).await;
    }
}

/// Lets all that is due by now happen.
fn fire_all(world: &World) {
    while world.core().fire_due(10).unwrap() > 0 {}
}

async fn segments_of_user(world: &World, user_id: &str) -> Vec<String> {
    let found = world.core().segments(Lookup::User(user_id)).await.unwrap();
    found.segments.iter().map(|name| name.to_string()).collect()
}

async fn segments(world: &World, anonymous_id: &str) -> Vec<String> {
    let found = world
        .core()
        .segments(Lookup::Anonymous(anonymous_id))
        .await
        .unwrap();
    found.segments.iter().map(|name| name.to_string()).collect()
}

#[tokio::test]
async fn a_segment_is_entered_on_the_event_that_completes_it() {
    let world = World::new(1);
    world.hit(&TestHit::page("a", "/pricing")).await;
    assert_eq!(segments(&world, "a").await, Vec::<String>::new());
    world.hit(&TestHit::page("a", "/pricing")).await;
    assert_eq!(segments(&world, "a").await, ["pricing"]);
    world.hit(&TestHit::track("a", "Cart")).await;
    assert_eq!(
        segments(&world, "a").await,
        ["pricing"],
        "an event without a path decides nothing"
    );
    world.hit(&TestHit::page("a", "/")).await;
    assert_eq!(
        segments(&world, "a").await,
        ["busy"],
        "an event with another path does"
    );
}

#[tokio::test]
async fn a_cart_without_a_purchase_wakes_up_after_twenty_minutes() {
    let world = World::new(2);
    world.hit(&TestHit::track("a", "Cart")).await;
    world.advance(20 * MINUTE - 1_000);
    world.core().fire_due(10).unwrap();
    assert_eq!(segments(&world, "a").await, Vec::<String>::new());
    world.advance(2_000);
    world.core().fire_due(10).unwrap();
    assert_eq!(segments(&world, "a").await, ["abandoned"]);
    world.hit(&TestHit::track("a", "Order Completed")).await;
    assert_eq!(segments(&world, "a").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_window_that_passes_ends_the_membership_without_any_event() {
    let world = World::new(3);
    for _ in 0..3 {
        world.hit(&TestHit::page("a", "/")).await;
    }
    assert_eq!(segments(&world, "a").await, ["busy"]);
    world.advance(31 * MINUTE);
    while world.core().fire_due(10).unwrap() > 0 {}
    assert_eq!(segments(&world, "a").await, Vec::<String>::new());
}

#[tokio::test]
async fn an_added_timed_segment_reaches_silent_visitors() {
    let mut world = World::new(4);
    world.segments = vec![("named", "profile.identified")];
    world.crash().await;
    world.hit(&TestHit::page("stored", "/a")).await;
    world.core().durable(0).await.unwrap();
    world.core().checkpoint(Extent::All).unwrap();
    world.crash().await;
    world.hit(&TestHit::page("live", "/a")).await;
    world.advance(20 * MINUTE);
    assert_eq!(world.catch_up(), 0, "no such segment yet");

    world
        .segments
        .push(("silent", r#"now - profile.last_seen > duration("1h")"#));
    world.apply().await;
    assert_eq!(world.catch_up(), 2);
    for visitor in ["stored", "live"] {
        assert_eq!(segments(&world, visitor).await, Vec::<String>::new());
    }
    world.advance(41 * MINUTE);
    world.core().look_ahead().unwrap();
    world.core().fire_due(100).unwrap();
    for visitor in ["stored", "live"] {
        assert_eq!(segments(&world, visitor).await, ["silent"]);
    }
    world.segments[1].1 = r#"now - profile.last_seen > duration("2h")"#;
    world.apply().await;
    assert_eq!(world.catch_up(), 2);
    assert_eq!(segments(&world, "stored").await, Vec::<String>::new());
    assert_eq!(world.catch_up(), 0);
    world.assert_state_is_the_fold("after the catch-up").await;
    world.crash().await;
    assert_eq!(world.catch_up(), 0, "noted in the store");
    world.assert_state_is_the_fold("after a restart").await;
}

#[tokio::test]
async fn a_timer_survives_eviction_and_restart() {
    let mut world = World::new(4);
    world.lag_records = 0;
    world.crash().await;
    world.hit(&TestHit::track("a", "Cart")).await;
    let end = world.core().journal().next_offset();
    world.core().durable(end - 1).await.unwrap();
    world.core().checkpoint(Extent::All).unwrap();
    world.crash().await;
    assert_eq!(
        world.core().0.state.profiles.len(),
        0,
        "nothing to replay, so nobody is in memory"
    );
    world.advance(21 * MINUTE);
    world.core().look_ahead().unwrap();
    world.core().fire_due(10).unwrap();
    assert_eq!(segments(&world, "a").await, ["abandoned"]);
}

#[tokio::test]
async fn a_timer_survives_that_another_person_logs_in_on_the_device_after_a_restart() {
    let mut world = World::new(10);
    world.lag_records = 0;
    world.crash().await;
    world.hit(&TestHit::identify("shared", "bob")).await;
    world.hit(&TestHit::track("shared", "Cart")).await;
    let end = world.core().journal().next_offset();
    world.core().durable(end - 1).await.unwrap();
    world.core().checkpoint(Extent::All).unwrap();
    world.crash().await;
    world.hit(&TestHit::identify("shared", "ada")).await;
    world.advance(21 * MINUTE);
    world.core().look_ahead().unwrap();
    world.core().fire_due(10).unwrap();
    let bob = world.core().segments(Lookup::User("bob")).await.unwrap();
    let entered: Vec<_> = bob.segments.iter().map(|name| &**name).collect();
    assert_eq!(entered, ["abandoned", "named"]);
}

#[tokio::test]
async fn identify_merges_the_device_into_the_person_and_keeps_memberships() {
    let world = World::new(5);
    world.hit(&TestHit::identify("phone", "ada")).await;
    for _ in 0..3 {
        world.hit(&TestHit::page("laptop", "/pricing")).await;
    }
    assert_eq!(segments(&world, "laptop").await, ["pricing", "busy"]);
    world.hit(&TestHit::identify("laptop", "ada")).await;
    assert_eq!(
        segments(&world, "phone").await,
        ["pricing", "busy", "regulars", "named"]
    );
    world.assert_state_is_the_fold("after a merge").await;
}

#[tokio::test]
async fn what_is_told_of_a_session_names_its_own_device() {
    let world = World::new(12);
    for device in ["phone", "laptop", "tablet"] {
        world.hit(&TestHit::identify(device, "ada")).await;
    }
    world.advance(31 * MINUTE);
    while world.core().fire_due(10).unwrap() > 0 {}
    let end = world.core().journal().next_offset();
    world.core().durable(end - 1).await.unwrap();
    let mut told: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut reader = world.core().journal().reader(0).unwrap();
    while let Some(frame) = reader.next_below(u64::MAX).unwrap() {
        let head = RecordView::read(frame.payload).unwrap().head;
        if let Fold::SessionStart(_) | Fold::SessionEnd(_) = head.fold {
            assert_eq!(head.user_id, Some("ada"), "{}", head.event);
            let device = head.anonymous_id.expect("a device").to_owned();
            told.entry(head.event.to_owned()).or_default().push(device);
        }
    }
    assert_eq!(told["session_start"], ["phone", "laptop", "tablet"]);
    assert_eq!(told["session_end"], ["phone", "laptop", "tablet"]);
}

#[tokio::test]
async fn two_people_on_one_device_stay_two() {
    let world = World::new(6);
    world.hit(&TestHit::identify("shared", "ada")).await;
    world.hit(&TestHit::identify("shared", "bob")).await;
    let profiles = world.live();
    let mut users: Vec<_> = profiles.values().filter_map(|p| p.user_id()).collect();
    users.sort_unstable();
    assert_eq!(users, ["ada", "bob"]);
    assert!(profiles.values().all(|p| p.alias_of.is_none()));
}

#[tokio::test]
async fn a_second_copy_answers_duplicate_also_after_a_crash() {
    let mut world = World::new(7);
    let hit = TestHit {
        message_id: Some("m-1".to_owned()),
        ..TestHit::page("a", "/")
    };
    let first = world.hit(&hit).await;
    let second = world.hit(&hit).await;
    assert_eq!((first.duplicate, second.duplicate), (false, true));
    assert_eq!(first.offset, second.offset);
    world.crash().await;
    assert!(world.hit(&hit).await.duplicate);
    let end = world.core().journal().next_offset();
    world.core().durable(end - 1).await.unwrap();
    world.core().checkpoint(Extent::All).unwrap();
    world.crash().await;
    assert!(
        world.hit(&hit).await.duplicate,
        "also when only the checkpoint knows"
    );
}

#[tokio::test]
async fn a_copy_is_known_from_its_first_one_on_and_only_of_the_same_source() {
    let world = World::new(7);
    let hit = TestHit {
        message_id: Some("m-1".to_owned()),
        ..TestHit::page("a", "/")
    };
    let copy = hit.enriched(world.clock.now());
    let core = world.core();
    assert!(!core.knows(&source(), &copy.hit));
    world.hit(&hit).await;
    assert!(core.knows(&source(), &copy.hit));
    let mut other = source();
    other.name = "other".to_owned();
    assert!(!core.knows(&other, &copy.hit));
    let undated = TestHit::page("a", "/");
    world.hit(&undated).await;
    let copy = undated.enriched(world.clock.now());
    assert!(!core.knows(&source(), &copy.hit), "nothing makes it a copy");
}

#[tokio::test]
async fn keys_older_than_the_window_leave_the_store_also_where_restarts_come_more_often() {
    let mut world = World::new(11);
    let with_id = |number: u32| TestHit {
        message_id: Some(format!("m-{number}")),
        ..TestHit::page("a", "/")
    };
    let hours = 60;
    for hour in 0..hours {
        let first = world.hit(&with_id(hour)).await;
        assert!(!first.duplicate, "hour {hour}");
        world.core().durable(first.offset).await.unwrap();
        world.core().checkpoint(Extent::All).unwrap();
        world.crash().await;
        world.advance(60 * MINUTE);
    }
    world.core().checkpoint(Extent::All).unwrap();
    let mut at_rest = 0;
    let store = world.core().0.state.profiles.store().unwrap();
    store.dedup(|_, _| at_rest += 1).unwrap();
    assert!((24..=26).contains(&at_rest), "{at_rest} keys are left");
    assert!(store.reached().unwrap().len() <= 25, "the notes go as well");
    assert!(world.hit(&with_id(hours - 23)).await.duplicate);
    assert!(!world.hit(&with_id(hours - 27)).await.duplicate);
}

#[tokio::test]
async fn who_waits_for_kafka_in_vain_is_told_so_and_the_second_copy_finds_the_first() {
    let world = World::new(9);
    let (acknowledge, acked) = tokio::sync::watch::channel(0);
    let hit = TestHit {
        message_id: Some("m-1".to_owned()),
        ..TestHit::page("a", "/")
    };
    let first = world.hit(&hit).await;
    world.core().durable(first.offset).await.unwrap();
    world.core().acknowledge_by(acked);
    tokio::time::pause();
    let refused = world.core().durable(first.offset).await.unwrap_err();
    assert_eq!(refused, Refused::Unacknowledged { retry_after_s: 5 });
    assert_eq!(
        refused.to_string(),
        "kafka did not acknowledge the event in time, retry in 5 s"
    );
    assert_eq!(world.core().0.state.metrics.ack_timeouts.get(), 1);
    acknowledge.send(first.offset + 1).unwrap();
    let second = world.hit(&hit).await;
    assert!(second.duplicate, "it was journaled all the same");
    world.core().durable(second.offset).await.unwrap();
}

async fn all_durable(world: &World) {
    let end = world.core().journal().next_offset();
    world.core().durable(end - 1).await.unwrap();
}

#[tokio::test]
async fn decided_at_never_decreases_even_when_the_wall_clock_steps_back() {
    let world = World::new(8);
    for step in [0, 60_000, -120_000, 5_000] {
        world.step_wall(step);
        world.hit(&TestHit::page("a", "/")).await;
    }
    let end = world.core().journal().next_offset();
    world.core().durable(end - 1).await.unwrap();
    let mut reader = world.core().journal().reader(0).unwrap();
    let mut last = Timestamp(i64::MIN);
    while let Some(frame) = reader.next_below(u64::MAX).unwrap() {
        assert!(frame.decided_at >= last);
        last = frame.decided_at;
    }
}

#[tokio::test]
async fn a_copy_that_meets_one_without_an_end_is_told_so_and_not_of_a_full_journal() {
    let world = World::new(1);
    let hit = TestHit {
        message_id: Some("m-1".to_owned()),
        ..TestHit::page("a-1", "/")
    };
    let enriched = hit.enriched(world.clock.now());
    let core = world.core();
    let key = core.dedup_key(&source(), &enriched.hit).unwrap();
    let _claim = core.0.state.dedup.begin(key);
    let refused = core
        .accept(&source(), &enriched, &Unlimited)
        .await
        .unwrap_err();
    assert_eq!(refused, Refused::CopyPending { retry_after_s: 1 });
    assert!(!refused.to_string().contains("room"), "{refused}");
}
