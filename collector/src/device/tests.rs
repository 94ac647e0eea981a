use std::path::Path;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tidegate_event::DeviceClass;

use super::*;

const AGENTS: &str = include_str!("agents.txt");
const NOW: Timestamp = Timestamp(1_795_348_800_000);

fn settings() -> UserAgents {
    UserAgents::default()
}

/// Small data sets, so that a test that loads often is quick.
fn files(regexes: &str, crawlers: &str) -> (TempDir, UserAgents) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let settings = UserAgents {
        regexes: path("regexes.json", regexes),
        crawlers: path("crawlers.json", crawlers),
        ..settings()
    };
    (directory, settings)
}

const REGEXES: &str = r#"{
    "user_agent_parsers": [{"regex": "(Lynx)/(\\d+)"}],
    "os_parsers": [{"regex": "(Plan 9)"}],
    "device_parsers": [{"regex": "(Blit)", "brand_replacement": "AT&T"}]
}"#;
const CRAWLERS: &str = r#"[{"pattern": "^gopher", "instances": [], "tags": ["x"]}]"#;

#[test]
fn real_user_agents_are_read() {
    let mut checked = 0;
    for line in AGENTS.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.splitn(6, '\t').collect();
        let [class, brand, os, browser, version, agent] = columns[..] else {
            panic!("{line}");
        };
        let found = embedded().device(agent, NOW);
        let said = |text: &Option<Box<str>>| text.as_deref().unwrap_or("-").to_owned();
        let found_version = found
            .browser_version
            .map_or_else(|| "-".to_owned(), |version| version.to_string());
        let row = [
            found.class.as_str().to_owned(),
            said(&found.brand),
            said(&found.os),
            said(&found.browser),
            found_version,
        ];
        assert_eq!(
            row.join("\t"),
            [class, brand, os, browser, version].join("\t"),
            "{agent}"
        );
        assert_eq!(found.bot, class == "bot", "{agent}");
        checked += 1;
    }
    assert!(checked >= 60, "{checked}");
}

#[test]
fn odd_user_agents_are_unknown_devices() {
    let long = "x".repeat(100_000);
    for agent in ["", " ", "ü/1 \u{0} 東京", "\u{fffd}\u{fffd}", &long] {
        let found = embedded().device(agent, NOW);
        assert_eq!((found.class, found.bot), (DeviceClass::Unknown, false));
        assert_eq!((&found.brand, &found.os), (&None, &None));
    }
}

#[test]
fn a_name_out_of_a_user_agent_is_bounded() {
    let agent = format!("{}/1.0 CFNetwork/1410.0.3 Darwin/22.6.0", "é".repeat(200));
    let found = embedded().device(&agent, NOW);
    for name in [&found.brand, &found.os, &found.browser]
        .into_iter()
        .flatten()
    {
        assert!(name.len() <= 64, "{name}");
    }
}

#[test]
fn the_cache_is_bounded_and_counts() {
    let (_directory, files) = files(REGEXES, CRAWLERS);
    let settings = UserAgents {
        cache_entries: 64,
        misses_per_second_max: u32::MAX,
        ..files
    };
    let mut registry = Registry::default();
    let devices = Devices::load(&settings).unwrap();
    let devices = devices.counting(CacheMetrics::register(&mut registry));
    for round in 0..1_000 {
        devices.device(&format!("Lynx/{round}"), NOW);
    }
    let first = devices.device("Lynx/2", NOW);
    let again = devices.device("Lynx/2", NOW);
    assert!(Arc::ptr_eq(&first, &again));
    let kept = devices.current.load().cache.len();
    assert!((1..=64).contains(&kept), "{kept}");
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let count = |result: &str| {
        let name = format!("tidegate_user_agent_lookups_total{{result=\"{result}\"}} ");
        let (_, rest) = text.split_once(&name).unwrap();
        rest.lines().next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(count("hit") + count("miss"), 1_002, "{text}");
    assert!(count("miss") >= 1_000 && count("limited") == 0, "{text}");
}

#[test]
fn misses_beyond_the_rate_are_unknown_devices() {
    let (_directory, files) = files(REGEXES, CRAWLERS);
    let devices = Devices::load(&UserAgents {
        cache_entries: 64,
        misses_per_second_max: 2,
        ..files
    })
    .unwrap();
    let is_known = |agent: &str, now| devices.device(agent, now).browser.is_some();
    let misses = |from: u32, now| {
        let agents = (from..from + 100).map(|version| format!("Lynx/{version}"));
        agents.filter(|agent| is_known(agent, now)).count()
    };
    // The first filling of the cache, at once.
    assert_eq!(misses(1_000, NOW), 64);
    assert_eq!(misses(2_000, NOW), 0);
    // What is kept is answered all the same.
    let kept = (1_000..1_064).filter(|version| is_known(&format!("Lynx/{version}"), NOW));
    assert!(kept.count() > 0);
    assert_eq!(misses(3_000, NOW.plus_ms(1_000)), 2);
    assert_eq!(misses(4_000, NOW.plus_ms(1_400)), 0);
    assert_eq!(misses(4_000, NOW.plus_ms(1_500)), 1);
}

#[test]
fn an_operators_files_are_read_and_read_again() {
    let (directory, settings) = files(REGEXES, CRAWLERS);
    let devices = Devices::load(&settings).unwrap();
    let found = devices.device("Blit Plan 9 Lynx/2", NOW);
    let expected = Device {
        class: DeviceClass::Unknown,
        bot: false,
        brand: Some("AT&T".into()),
        os: Some("Plan 9".into()),
        browser: Some("Lynx".into()),
        browser_version: Some(2),
    };
    assert_eq!(*found, expected);
    assert!(devices.device("gopher/1", NOW).bot);
    assert!(!devices.device("veronica/1", NOW).bot);
    assert!(devices.prepare(&settings).unwrap().is_none());
    let path = directory.path().join("crawlers.json");
    std::fs::write(path, r#"[{"pattern": "veronica"}]"#).unwrap();
    let fresh = devices.prepare(&settings).unwrap().expect("a change");
    devices.put(fresh);
    assert!(devices.device("veronica/1", NOW).bot);
    assert!(!devices.device("gopher/1", NOW).bot);
    let smaller = UserAgents {
        cache_entries: 64,
        ..settings
    };
    assert!(devices.prepare(&smaller).unwrap().is_some());
}

#[test]
fn a_bad_file_is_refused_with_its_place() {
    let broken = REGEXES.replace("(Plan 9)", "(Plan 9");
    let without_os = REGEXES.replace("os_parsers", "systems");
    for (regexes, crawlers, expected) in [
        (
            &*broken,
            CRAWLERS,
            &[
                "user_agents.regexes",
                "os_parsers[0]",
                "(Plan 9",
                "unclosed",
            ][..],
        ),
        (
            &without_os,
            CRAWLERS,
            &["regexes.json", "os_parsers", "line 5"],
        ),
        ("{", CRAWLERS, &["user_agents.regexes", "line 1"]),
        (REGEXES, "[]", &["user_agents.crawlers", "no rules"]),
        (
            REGEXES,
            r#"[{"pattern": "a"}, {"pattern": "b("}]"#,
            &["crawlers[1]", "\"b(\""],
        ),
    ] {
        let (_directory, settings) = files(regexes, crawlers);
        let error = Devices::load(&settings).unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert_eq!(unusable(&settings).len(), 1, "{error}");
    }
    let missing = UserAgents {
        crawlers: Some(Path::new("/nowhere/crawlers.json").to_owned()),
        ..settings()
    };
    let errors = unusable(&missing);
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].setting(), "user_agents.crawlers");
}

#[test]
fn a_file_that_breaks_leaves_the_old_one() {
    let (directory, settings) = files(REGEXES, CRAWLERS);
    let devices = Devices::load(&settings).unwrap();
    std::fs::write(directory.path().join("regexes.json"), "[]").unwrap();
    assert!(devices.prepare(&settings).is_err());
    assert_eq!(
        devices.device("Lynx/1", NOW).browser.as_deref(),
        Some("Lynx")
    );
}
