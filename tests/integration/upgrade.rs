//! Data directories of earlier releases (`tests/fixtures/data_dirs`) under this build: everything
//! in them is found, whatever kills the upgrade, and what a later release wrote is refused
//! untouched.
//!
//! The gateway runs in a process of its own, which is this test binary: there it gets a clock that
//! stands where the fixture's times are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hyper::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate_collector::app::{Gateway as InProcess, Launch, Patience};
use tidegate_collector::clock::SystemClock;
use tidegate_collector::document::Environment;
use tidegate_collector::settings::load::load;
use tidegate_event::Timestamp;
use tidegate_tests::config::SERVER_KEY;
use tidegate_tests::http::request;
use tidegate_tests::patience::during;
use tidegate_tests::process::{Process, binary};
use tidegate_tests::{Config, Gateway, Receiver, eventually, turn};
use tokio::signal::unix::{SignalKind, signal};

const RELEASES: [&str; 1] = ["v0.1.0"];
const VARIANTS: [&str; 2] = ["stopped", "killed"];
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
const CONFIG: &str = "TIDEGATE_TEST_CONFIG";
const NOW: &str = "TIDEGATE_TEST_NOW_MS";

/// One fixture, unpacked.
struct Fixture {
    dir: TempDir,
    expected: Value,
    receiver: Receiver,
}

impl Fixture {
    fn unpack(release: &str, variant: &str) -> Self {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/data_dirs");
        let from = from.join(release);
        let dir = tempfile::tempdir().unwrap();
        let unpacked = Command::new("tar")
            .arg("-xzf")
            .arg(from.join(format!("{variant}.tar.gz")))
            .arg("-C")
            .arg(dir.path())
            .status();
        assert!(unpacked.unwrap().success());
        let expected = fs::read(from.join("expected.json")).unwrap();
        let mut expected: Value = serde_json::from_slice(&expected).unwrap();
        Self {
            dir,
            expected: expected[variant].take(),
            receiver: Receiver::start(),
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The settings and segments of `make.py`, with this test's receiver.
    fn config(&self) -> Config {
        let url = self.receiver.url();
        let buyers = "count(event.name == \"Order Completed\", \"400d\") >= 1";
        let cart =
            "absent(event.name == \"Order Completed\", event.name == \"Product Added\", \"300d\")";
        Config::new()
            .data_dir(&self.data())
            .set("journal", "segment_bytes", "\"4MiB\"")
            .set("dedup", "window", "\"7d\"")
            .segment("buyers", buyers)
            .segment("cart", cart)
            .segment("pricing", "page.path.startsWith(\"/pricing\")")
            .segment("people", "profile.identified")
            .webhook("ok", &url, &["*"])
            .webhook("away", &url, &["*"])
            .webhook("refuses", &url, &["*"])
    }

    /// Milliseconds since 1970, so long after the fixture was made.
    fn after(&self, ms: i64) -> i64 {
        self.expected["made_at_ms"].as_i64().unwrap() + ms
    }

    /// A gateway whose clock stands there.
    fn start(&self, after_ms: i64) -> Gateway {
        let now = self.after(after_ms);
        Gateway::start_by(&self.config(), &mut |_, dir| serving(dir, now))
    }

    fn expected_visitors(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.expected["profiles"].as_object().unwrap().iter()
    }

    fn callbacks_of(&self, destination: &str) -> Vec<tidegate_tests::receiver::Callback> {
        let mut all = self.receiver.callbacks();
        all.retain(|callback| callback.field("destination") == destination);
        all
    }
}

/// This test binary as the gateway of the settings in `dir`.
fn serving(dir: &Path, now_ms: i64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "upgrade::serves_at_its_own_time";
    command.args(["--exact", name, "--ignored", "--nocapture"]);
    command.env(CONFIG, dir.join("tidegate.toml"));
    command.env(NOW, now_ms.to_string());
    command
}

#[test]
#[ignore = "the gateway that the other tests start as a process of its own"]
fn serves_at_its_own_time() {
    let (Ok(config), Ok(now)) = (std::env::var(CONFIG), std::env::var(NOW)) else {
        return;
    };
    let settings = load(Some(Path::new(&config)), &Environment::default()).unwrap();
    let patience = Patience::of(&settings.drain);
    let launch = Launch {
        settings,
        clock: SystemClock::set_to(Timestamp(now.parse().unwrap())),
        ..Launch::default()
    };
    tidegate_tests::patience::runtime().block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let gateway = match InProcess::start(launch).await {
            Ok(gateway) => gateway,
            Err(error) => panic!("{error}"),
        };
        terminate.recv().await;
        gateway.stop(patience).await;
    });
}

fn post(gateway: &Gateway, key: &str, event: &Value) -> Vec<String> {
    let path = format!("/v1/events?writeKey={key}");
    let headers = [("content-type", "application/json")];
    let (to, body) = (gateway.addresses().http, event.to_string());
    let answer = request(to, Method::POST, &path, &headers, body);
    answer.unwrap().outcomes()
}

/// The journal's records by message id.
fn records(gateway: &Gateway) -> Vec<Value> {
    let lines = gateway.cli(&["journal", "cat"]).unwrap();
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A minute later: nothing is sent twice, each visitor is who they were, in the session and at the
/// epoch they were, and what waited for people is there.
fn finds_visitors(fixture: &Fixture) {
    let mut gateway = fixture.start(MINUTE_MS);
    for sent in fixture.expected["sent"].as_array().unwrap() {
        let key = sent[0].as_str().unwrap();
        assert_eq!(post(&gateway, key, &sent[1]), ["duplicate"], "{sent}");
    }
    let winner = &fixture.expected["merged"][0]["winner"];
    for (visitor, _) in fixture.expected_visitors() {
        let path = if visitor == "a-1" { "/pricing" } else { "/" };
        let mut event = json!({"type": "page", "messageId": format!("after-{visitor}"),
            "context": {"page": {"path": path, "url": format!("https://shop.example{path}")}}});
        let (key, id) = match visitor.strip_prefix("u-") {
            Some(_) => (SERVER_KEY, "userId"),
            None => ("shop-key", "anonymousId"),
        };
        event[id] = visitor.as_str().into();
        assert_eq!(post(&gateway, key, &event), ["accepted"]);
    }
    // `cat` beside a running gateway is a little behind its durable mark.
    let count = fixture.expected_visitors().count();
    let records = eventually("the record of each visitor", || {
        let records = records(&gateway);
        let after = records
            .iter()
            .filter_map(|record| record["message_id"].as_str());
        (after.filter(|id| id.starts_with("after-")).count() == count).then_some(records)
    });
    for (visitor, was) in fixture.expected_visitors() {
        let id = format!("after-{visitor}");
        let record = records.iter().find(|record| record["message_id"] == id);
        let record = record.unwrap();
        let merged = visitor.ends_with("-merge");
        let profile = if merged { winner } else { &was["profile_id"] };
        assert_eq!(&record["profile_id"], profile, "{visitor}");
        for part in ["id", "index"] {
            assert_eq!(record["session"][part], was["session"][part], "{visitor}");
        }
        let pricing = match visitor.as_str() {
            "a-1" => json!([{"segment": "pricing", "change": "enter", "epoch": 5}]),
            "a-6" => json!([{"segment": "pricing", "change": "exit", "epoch": 2}]),
            _ => Value::Null,
        };
        let transitions = record.get("transitions").filter(|all| **all != json!([]));
        assert_eq!(transitions.unwrap_or(&Value::Null), &pricing, "{visitor}");
    }
    assert_eq!(
        gateway.admin("/admin/v1/bad-rows").json(),
        fixture.expected["bad_rows"]
    );
    assert!(gateway.terminate().success());
}

/// A day later: what `away` did not take is delivered under the ids that it had, and the dead
/// letters of `refuses` are there and go out again.
fn finds_callbacks(fixture: &Fixture) {
    let mut gateway = fixture.start(25 * 60 * MINUTE_MS);
    let pending = fixture.expected["destinations"].as_array().unwrap();
    let pending = pending.iter().find(|one| one["name"] == "away").unwrap();
    let pending = usize::try_from(pending["queued"].as_u64().unwrap()).unwrap();
    let delivered = eventually("the pending callbacks", || {
        Some(fixture.callbacks_of("away")).filter(|all| all.len() >= pending)
    });
    let change = |body: &Value| {
        let part = |name| body[name].to_string();
        (part("profile_id"), part("segment"), part("epoch"))
    };
    let attempted = fixture.expected["attempted"].as_array().unwrap();
    let ids: BTreeMap<_, _> = attempted
        .iter()
        .map(|one| (change(&one["body"]), one["id"].as_str().unwrap()))
        .collect();
    let again: Vec<_> = delivered
        .iter()
        .filter_map(|callback| Some((callback, ids.get(&change(&callback.body))?)))
        .collect();
    assert!(!again.is_empty(), "something was attempted before");
    for (callback, id) in again {
        assert_eq!(callback.id, **id);
    }
    let was = fixture.expected["dead_letters"].as_array().unwrap();
    let path = "/admin/v1/destinations/refuses/dead-letters?limit=100";
    let letters = gateway.admin(path).json();
    let letters = letters.as_array().unwrap();
    assert!(was.iter().all(|one| letters.contains(one)), "{letters:?}");
    gateway.ctl(&["destinations", "replay", "refuses"]).unwrap();
    let newest = &was[0]["webhook_id"];
    eventually("the newest dead letter's delivery", || {
        let sent = fixture.callbacks_of("refuses");
        sent.iter().any(|one| one.id == *newest).then_some(())
    });
    assert!(gateway.terminate().success());
}

/// Later still: the timers that were set then fire.
fn finds_timers(fixture: &Fixture) {
    // Later by more than `wake_up_max_delay` it would be marked as overdue.
    let mut gateway = fixture.start(300 * DAY_MS + 60 * MINUTE_MS);
    let profile = &fixture.expected["profiles"]["a-3"]["profile_id"];
    let entered = json!([{"segment": "cart", "change": "enter", "epoch": 1}]);
    eventually("the wake-up of the abandoned cart", || {
        let all = records(&gateway);
        let mut woken = all.iter().filter(|one| one["event"] == "wake_up");
        let woken = woken.find(|one| one["profile_id"] == *profile)?;
        (woken["transitions"] == entered).then_some(())
    });
    assert!(gateway.terminate().success());
}

/// The sessions that were open have ended, each once.
fn finds_session_ends(fixture: &Fixture) {
    let mut gateway = fixture.start(9 * 60 * MINUTE_MS + MINUTE_MS);
    let sessions: Vec<_> = fixture
        .expected_visitors()
        .filter_map(|(_, one)| one.get("session"))
        .map(|session| session["id"].clone())
        .collect();
    let ended = eventually("the ends of the sessions", || {
        let mut ended: Vec<_> = records(&gateway);
        ended.retain(|one| one["event"] == "session_end");
        (ended.len() >= sessions.len()).then_some(ended)
    });
    for session in &sessions {
        let ends = ended.iter().filter(|one| one["session"]["id"] == *session);
        assert_eq!(ends.count(), 1, "{session}");
    }
    assert!(gateway.terminate().success());
}

fn finds_everything(fixture: &Fixture) {
    finds_visitors(fixture);
    finds_session_ends(fixture);
    finds_callbacks(fixture);
    finds_timers(fixture);
}

#[test]
fn everything_in_an_earlier_directory_is_found() {
    let _turn = turn();
    for release in RELEASES {
        for variant in VARIANTS {
            finds_everything(&Fixture::unpack(release, variant));
        }
    }
}

#[test]
fn an_upgrade_that_is_killed_goes_on() {
    let _turn = turn();
    for release in RELEASES {
        for variant in VARIANTS {
            let fixture = Fixture::unpack(release, variant);
            let dir = tempfile::tempdir().unwrap();
            let _ = fixture.config().write(dir.path());
            for after_ms in [0, 20, 40, 80, 120, 160, 240, 320, 480, 640] {
                let mut command = serving(dir.path(), fixture.after(MINUTE_MS / 2));
                let mut process = Process::start(&mut command, &dir.path().join("log"));
                during(Duration::from_millis(after_ms));
                process.signal(Signal::KILL);
                process.wait();
            }
            finds_everything(&fixture);
        }
    }
}

/// Every file below `dir` with its content.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            all.extend(contents(&entry.path()));
        } else {
            all.insert(entry.path(), fs::read(entry.path()).unwrap());
        }
    }
    all
}

/// Overwrites bytes of a file.
fn patch(path: &Path, at: usize, bytes: &[u8]) {
    let mut content = fs::read(path).unwrap();
    content[at..at + bytes.len()].copy_from_slice(bytes);
    fs::write(path, content).unwrap();
}

/// A start ends with these words.
fn refuses(fixture: &Fixture, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (config, _) = fixture.config().write(dir.path());
    let mut serve = Command::new(binary());
    serve.arg("serve").arg("--config").arg(config);
    let mut process = Process::start(&mut serve, &dir.path().join("log"));
    assert!(!process.wait().success());
    assert!(process.output().contains(what), "{}", process.output());
}

#[test]
fn a_directory_without_its_state_is_refused() {
    let _turn = turn();
    let fixture = Fixture::unpack(RELEASES[0], "stopped");
    fs::remove_dir_all(fixture.data().join("state")).unwrap();
    for _ in 0..2 {
        refuses(&fixture, "it is missing, damaged or of an earlier backup");
    }
}

#[test]
fn a_later_format_is_refused_untouched() {
    let _turn = turn();
    type Make = fn(&Path);
    let later: [(&str, Make); 5] = [
        ("profiles has format 99", |data| {
            let text = "tidegate formats 1\nprofiles 99\n";
            fs::write(data.join("FORMATS"), text).unwrap();
        }),
        ("catalog.sqlite3: schema 99 is newer", |data| {
            patch(&data.join("catalog.sqlite3"), 60, &99u32.to_be_bytes());
        }),
        ("catalog.sqlite3: it has a write-ahead log", |data| {
            patch(&data.join("catalog.sqlite3"), 18, &[2, 2]);
        }),
        ("bad-rows has format 99", |data| {
            let row = "{\"version\":99}\n";
            fs::write(data.join("bad-rows/current.ndjson"), row).unwrap();
        }),
        ("lake has format 1", |data| {
            fs::write(data.join("FORMATS"), "tidegate formats 1\nlake 1\n").unwrap();
        }),
    ];
    for (what, make) in later {
        let fixture = Fixture::unpack(RELEASES[0], "killed");
        make(&fixture.data());
        let before = contents(&fixture.data());
        refuses(&fixture, what);
        assert!(
            contents(&fixture.data()) == before,
            "{what}: it was changed"
        );
    }
}

/// The commands of a block of docs/operations.md below `heading`, with this machine's paths.
fn documented(heading: &str, block: usize, root: &Path) -> Vec<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let docs = fs::read_to_string(docs).unwrap();
    let (_, section) = docs.split_once(&format!("## {heading}\n")).unwrap();
    let block = section.split("```sh\n").nth(block).unwrap();
    let (commands, _) = block.split_once("```").unwrap();
    let own = |line: &str| {
        let line = line.replace("/var/lib", &root.join("lib").display().to_string());
        line.replace("/var/backups", &root.join("backups").display().to_string())
    };
    // The service manager and the owner are the test's.
    let ours = |line: &&str| !["systemctl", "chown"].iter().any(|by| line.starts_with(by));
    commands.lines().filter(ours).map(own).collect()
}

fn run(commands: &[String]) {
    assert!(!commands.is_empty());
    for command in commands {
        let status = Command::new("sh").args(["-c", command]).status().unwrap();
        assert!(status.success(), "{command}");
    }
}

#[test]
fn the_documented_restore_replaces_a_newer_directory() {
    let _turn = turn();
    let root = tempfile::tempdir().unwrap();
    for dir in ["lib", "backups"] {
        fs::create_dir(root.path().join(dir)).unwrap();
    }
    let data = root.path().join("lib/tidegate");
    let config = Config::new()
        .data_dir(&data)
        .set("journal", "segment_bytes", "\"4MiB\"");
    let filler = "x".repeat(20_000);
    let event = |id: &str| {
        json!({"type": "track", "event": "Order Completed", "anonymousId": "a-1",
            "messageId": id, "properties": {"filler": filler}})
    };
    let mut gateway = Gateway::start(&config);
    assert_eq!(gateway.post(&event("before")).outcomes(), ["accepted"]);
    assert!(gateway.terminate().success());
    run(&documented("Upgrade and roll back", 1, root.path()));
    gateway.start_again();
    // Several segments more than the backup has.
    for n in 0..600 {
        let answer = gateway.post(&event(&format!("after-{n}")));
        assert_eq!(answer.outcomes(), ["accepted"]);
    }
    assert!(gateway.terminate().success());
    run(&documented("Backup and restore", 1, root.path()));
    gateway.start_again();
    assert_eq!(gateway.post(&event("before")).outcomes(), ["duplicate"]);
    assert_eq!(gateway.post(&event("after-0")).outcomes(), ["accepted"]);
    assert!(gateway.terminate().success());
    let replaced = root.path().join("lib/tidegate-replaced");
    assert!(replaced.join("journal").exists(), "it is kept");
}

#[test]
fn the_documented_backup_brings_everything_back() {
    let _turn = turn();
    let root = tempfile::tempdir().unwrap();
    for dir in ["lib", "backups"] {
        fs::create_dir(root.path().join(dir)).unwrap();
    }
    let config = Config::new().data_dir(&root.path().join("lib/tidegate"));
    let event = |id: &str| {
        json!({"type": "track", "event": "Order Completed", "anonymousId": "a-1",
            "messageId": id})
    };
    let mut gateway = Gateway::start(&config);
    assert_eq!(gateway.post(&event("m-1")).outcomes(), ["accepted"]);
    assert!(gateway.terminate().success());
    run(&documented("Upgrade and roll back", 1, root.path()));
    gateway.start_again();
    assert_eq!(gateway.post(&event("m-2")).outcomes(), ["accepted"]);
    assert!(gateway.terminate().success());
    run(&documented("Upgrade and roll back", 3, root.path()));
    gateway.start_again();
    assert_eq!(gateway.post(&event("m-1")).outcomes(), ["duplicate"]);
    assert_eq!(gateway.post(&event("m-2")).outcomes(), ["accepted"]);
    assert!(gateway.terminate().success());
    // Another machine: nothing is there but the backup.
    fs::remove_dir_all(root.path().join("lib/tidegate")).unwrap();
    run(&documented("Backup and restore", 1, root.path()));
    gateway.start_again();
    assert_eq!(gateway.post(&event("m-1")).outcomes(), ["duplicate"]);
}
