//! Reload: settings, catalog and GeoIP databases change under load without a failed request, as a
//! whole or not at all, and by themselves when their files change.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_tests::config::SERVER_KEY;
use tidegate_tests::load::Load;
use tidegate_tests::patience::{eventually, long};
use tidegate_tests::records::{assert_holds, journal, message_ids};
use tidegate_tests::{Config, Gateway, turn};

/// Looks at no file by itself, so that the test says when.
fn told_only() -> Config {
    Config::new().set("reload", "watch_interval", "\"0s\"")
}

fn with_event_limit(config: Config, kib: u64) -> Config {
    config.set("edge", "event_bytes_max", &format!("\"{kib}KiB\""))
}

/// An event of a bit more than `kib`.
fn event_of(kib: usize) -> Value {
    let filler = "x".repeat(kib << 10);
    json!({"type": "track", "event": "Big", "anonymousId": "a", "properties": { "filler": filler }})
}

fn outcome_of_big_event(gateway: &Gateway) -> String {
    gateway.post(&event_of(9)).outcomes().concat()
}

#[test]
fn a_start_warns_of_published_secrets() {
    let _turn = turn();
    let config = told_only()
        .segment("buyers", "event.name == \"Order Completed\"")
        .webhook("ads", "https://ads.example.com/hook", &["buyers"]);
    let mut gateway = Gateway::start(&config);
    let warnings = |log: &str| log.matches("the secret of a published example").count();
    assert_eq!(warnings(&gateway.log()), 1, "{}", gateway.log());
    assert!(gateway.terminate().success());
    // The catalog is in force already, and nothing is applied.
    gateway.start_again();
    assert!(warnings(&gateway.log()) >= 1, "{}", gateway.log());
}

fn write_pair(dir: &Path) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(dir.join("cert.pem"), pair.cert.pem()).unwrap();
    fs::write(dir.join("key.pem"), pair.signing_key.serialize_pem()).unwrap();
}

fn reloads(gateway: &Gateway, result: &str) -> f64 {
    let labels = format!("result=\"{result}\"");
    gateway
        .metric("tidegate_reloads_total", &labels)
        .unwrap_or(0.0)
}

#[test]
fn reloads_under_load_fail_no_request_and_lose_no_event() {
    let _turn = turn();
    let rounds = if long() { 200 } else { 20 };
    let mut gateway = Gateway::start(&with_event_limit(told_only().secure(), 8));
    let load = Load::mixed(&gateway, 4);
    load.wait_for(200);
    for round in 0..rounds {
        let limit = 16 - 8 * (round % 2);
        let segment = format!(
            "count(event.type == \"track\", \"1h\") >= {}",
            1 + round % 3
        );
        let config = with_event_limit(told_only().secure(), limit).segment("viewers", &segment);
        let _ = config.write(gateway.dir());
        if round % 4 == 3 {
            let before = reloads(&gateway, "applied");
            gateway.process().signal(Signal::HUP);
            eventually("the reload after SIGHUP", || {
                (reloads(&gateway, "applied") > before).then_some(())
            });
        } else {
            let told = gateway.ctl(&["reload"]).unwrap();
            assert!(told.contains("edge.event_bytes_max"), "{told}");
            assert!(told.contains("the catalog"), "{told}");
        }
        let expected = if limit == 16 { "accepted" } else { "too_large" };
        assert_eq!(outcome_of_big_event(&gateway), expected, "round {round}");
    }
    load.wait_for(200);
    let report = load.stop();
    let only_200 = report.by_status.keys().all(|status| *status == 200);
    assert!(
        only_200 && report.broken == 0 && report.turned_away == 0,
        "{:?}, {} broken, {} turned away, {:?}",
        report.by_status,
        report.broken,
        report.turned_away,
        report.failed
    );
    let connections: u64 = report.opened.values().sum();
    assert_eq!(connections, 16, "no connection was closed");
    assert_eq!(
        reloads(&gateway, "applied"),
        f64::from(u32::try_from(rounds).unwrap())
    );
    assert_eq!(reloads(&gateway, "refused"), 0.0);
    assert!(gateway.terminate().success());
    let records = journal(&gateway);
    assert_holds("the journal", &message_ids(&records), &report.acked, true);
    println!(
        "{rounds} reloads under load: {} requests, none failed, slowest {:?}",
        report.acked.len(),
        report.slowest
    );
}

#[test]
fn a_bad_file_changes_nothing_and_says_every_mistake_with_its_place() {
    let _turn = turn();
    let certificates = tempfile::tempdir().unwrap();
    write_pair(certificates.path());
    let file = |name| format!("{:?}", certificates.path().join(name));
    let secure = told_only()
        .secure()
        .set("edge.tls", "cert", &file("cert.pem"))
        .set("edge.tls", "key", &file("key.pem"));
    let good = with_event_limit(secure, 8)
        .segment("viewers", "count(event.type == \"page\", \"1h\") >= 1");
    let gateway = Gateway::start(&good);
    let settings = gateway.dir().join("tidegate.toml");
    let kept = fs::read_to_string(&settings).unwrap();

    let broken = kept.replace("\"8KiB\"", "\"16KiB\"") + "\n[timers]\nrate_max = 0\nrate = 1\n";
    fs::write(&settings, broken).unwrap();
    let refused = gateway.ctl(&["reload"]).unwrap_err();
    for mistake in ["tidegate.toml:", "timers.rate_max", "timers.rate:"] {
        assert!(refused.contains(mistake), "{mistake} in {refused}");
    }
    assert_eq!(outcome_of_big_event(&gateway), "too_large");

    // A good change of the settings beside a bad catalog: neither is taken.
    fs::write(&settings, kept.replace("\"8KiB\"", "\"16KiB\"")).unwrap();
    let catalog = gateway.dir().join("catalog.toml");
    let kept_catalog = fs::read_to_string(&catalog).unwrap();
    fs::write(&catalog, kept_catalog.replace(">= 1", ">= ")).unwrap();
    let refused = gateway.ctl(&["reload"]).unwrap_err();
    assert!(refused.contains("catalog.toml:"), "{refused}");
    assert_eq!(outcome_of_big_event(&gateway), "too_large");
    fs::write(&catalog, &kept_catalog).unwrap();

    // A good catalog and good settings beside a bad certificate, which is told of each time.
    let certificate = certificates.path().join("cert.pem");
    fs::write(&certificate, "no certificate").unwrap();
    fs::write(&catalog, kept_catalog.replace(">= 1", ">= 2")).unwrap();
    for _ in 0..2 {
        let refused = gateway.ctl(&["reload"]).unwrap_err();
        assert!(refused.contains("cert.pem"), "{refused}");
        assert_eq!(outcome_of_big_event(&gateway), "too_large");
    }
    write_pair(certificates.path());
    fs::write(&catalog, kept_catalog).unwrap();

    let with_geo = kept.replace("\"8KiB\"", "\"16KiB\"") + "\n[geoip]\ncity = \"catalog.toml\"\n";
    fs::write(&settings, with_geo).unwrap();
    let refused = gateway.ctl(&["reload"]).unwrap_err();
    assert!(refused.contains("is broken"), "{refused}");
    assert_eq!(outcome_of_big_event(&gateway), "too_large");
    let bots = kept.clone() + "\n[user_agents]\ncrawlers = \"catalog.toml\"\n";
    fs::write(&settings, bots).unwrap();
    let refused = gateway.ctl(&["reload"]).unwrap_err();
    assert!(refused.contains("user_agents.crawlers"), "{refused}");
    assert_eq!(reloads(&gateway, "refused"), 6.0);

    let restart = kept.replace("\"8KiB\"", "\"16KiB\"") + "\n[dedup]\nwindow = \"2d\"\n";
    fs::write(&settings, restart).unwrap();
    let told = gateway.ctl(&["reload"]).unwrap();
    assert!(
        told.contains("changed        edge.event_bytes_max"),
        "{told}"
    );
    assert!(told.contains("needs restart  dedup.window"), "{told}");
    assert_eq!(outcome_of_big_event(&gateway), "accepted");
    let again = gateway.ctl(&["reload"]).unwrap();
    assert!(!again.contains("edge.event_bytes_max"), "{again}");
}

#[test]
fn files_that_are_replaced_are_taken_without_being_told() {
    let _turn = turn();
    let watching = || Config::new().set("reload", "watch_interval", "\"50ms\"");
    let gateway = Gateway::start(&with_event_limit(watching(), 8));
    let segments = |gateway: &Gateway| {
        let page = json!({"type": "page", "anonymousId": "a-1"});
        assert_eq!(gateway.post(&page).outcomes(), ["accepted"]);
        let path = format!("/v1/segments?anonymous_id=a-1&writeKey={SERVER_KEY}");
        gateway.get(&path).json()["segments"].clone()
    };

    // As an editor does it: another file is renamed over the old one.
    let (settings, next) = (
        gateway.dir().join("tidegate.toml"),
        gateway.dir().join("next"),
    );
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&next, text.replace("\"8KiB\"", "\"16KiB\"")).unwrap();
    fs::rename(&next, &settings).unwrap();
    eventually("the renamed settings", || {
        (outcome_of_big_event(&gateway) == "accepted").then_some(())
    });

    // As a ConfigMap does it: the file is a link into a directory that is itself a link.
    let mapped = |name: &str, config: &Config| {
        let dir = gateway.dir().join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("catalog.toml"), config.catalog()).unwrap();
    };
    let link = |to: &Path, at: &Path| {
        let next = gateway.dir().join("next-link");
        symlink(to, &next).unwrap();
        fs::rename(&next, at).unwrap();
    };
    let segment = "count(event.type == \"page\", \"1h\") >= 1";
    mapped("..1", &Config::new().segment("first", segment));
    mapped("..2", &Config::new().segment("second", segment));
    let data = gateway.dir().join("..data");
    link(Path::new("..1"), &data);
    link(
        Path::new("..data/catalog.toml"),
        &gateway.dir().join("catalog.toml"),
    );
    eventually("the first catalog", || {
        (segments(&gateway) == json!(["first"])).then_some(())
    });
    link(Path::new("..2"), &data);
    eventually("the second catalog", || {
        (segments(&gateway) == json!(["second"])).then_some(())
    });
}
