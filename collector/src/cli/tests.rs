use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::CommandFactory as _;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tidegate_event::record::{EventFold, Fold, PAYLOAD_VERSION, Record};
use tidegate_event::{ProfileId, Purposes, Timestamp};
use tidegate_journal::{CursorClass, Journal, RealStorage};

use super::{Cli, CliError, Output, execute};
use crate::admin::fake::Fake;
use crate::admin::{Admin, Token};
use crate::document::Environment;
use crate::settings::Settings;

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `tidegate` with these words; returns what it printed and how it ended.
fn tidegate(words: &[&str]) -> (String, Result<(), CliError>) {
    let (printed, _, result) = tidegate_warns(words);
    (printed, result)
}

/// As [`tidegate`]; also returns its warnings.
fn tidegate_warns(words: &[&str]) -> (String, String, Result<(), CliError>) {
    let (screen, warned) = (Screen::default(), Screen::default());
    let mut output = Output::to(Box::new(screen.clone()));
    let mut warnings = Output::to(Box::new(warned.clone()));
    let arguments = std::iter::once("tidegate").chain(words.iter().copied());
    let result = execute(
        arguments.map(OsString::from),
        Environment::new(),
        &mut output,
        &mut warnings,
    );
    let text = |screen: &Screen| String::from_utf8(screen.0.lock().clone()).unwrap();
    (text(&screen), text(&warned), result)
}

fn good(words: &[&str]) -> String {
    let (printed, result) = tidegate(words);
    result.unwrap_or_else(|error| panic!("{words:?}: {error}\n{printed}"));
    printed
}

fn bad(words: &[&str]) -> (String, String) {
    let (printed, result) = tidegate(words);
    (printed, result.expect_err("fails").to_string())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_commands_are_well_formed_and_each_explains_itself() {
    let mut command = Cli::command();
    command.build();
    command.clone().debug_assert();
    fn walk(command: &mut clap::Command, words: &[String], seen: &mut usize) {
        *seen += 1;
        let help = command.render_long_help().to_string();
        assert!(
            command.get_about().is_some(),
            "{words:?} says nothing of itself"
        );
        assert!(help.contains("Usage:"), "{words:?}");
        for line in command.get_after_help().into_iter().flat_map(|text| {
            let lines = text.to_string();
            lines.lines().map(str::to_owned).collect::<Vec<_>>()
        }) {
            assert!(line.chars().count() < 100, "{words:?}: {line}");
        }
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{words:?} {}",
                argument.get_id()
            );
        }
        for sub in command
            .get_subcommands_mut()
            .filter(|sub| sub.get_name() != "help")
        {
            let mut words = words.to_vec();
            words.push(sub.get_name().to_owned());
            walk(sub, &words, seen);
        }
    }
    let mut seen = 0;
    walk(&mut command, &[], &mut seen);
    assert!(seen >= 17, "{seen} commands");
}

#[test]
fn the_commands_are_those_that_people_were_promised() {
    for words in [
        &["serve"][..],
        &["check"],
        &["demo"],
        &["apply"],
        &["rules", "check"],
        &["destinations", "list"],
        &["destinations", "test"],
        &["destinations", "enable"],
        &["destinations", "dead-letters"],
        &["destinations", "replay"],
        &["journal", "cat"],
        &["journal", "cursors", "list"],
        &["journal", "cursors", "drop"],
        &["journal", "repair"],
        &["doctor"],
    ] {
        let words: Vec<&str> = words.iter().copied().chain(["--help"]).collect();
        let (_, help) = bad(&words);
        assert!(help.contains("Usage: tidegate"), "{words:?}: {help}");
        assert!(
            help.contains("Examples") || words.len() > 2 || help.contains("Ctrl-C"),
            "{help}"
        );
    }
}

#[test]
fn the_doctor_reports_every_check_and_fails_where_one_does() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (screen, _) = tidegate(&["doctor", "--data-dir", path(&data), "--json"]);
    let report: serde_json::Value = serde_json::from_str(&screen).unwrap();
    let findings = report["findings"].as_array().unwrap();
    for check in [
        "file system",
        "disk space",
        "disk sync",
        "open files",
        "port",
        "clock",
    ] {
        let found = findings.iter().any(|finding| finding["check"] == check);
        assert!(found, "{check}: {screen}");
    }
    assert!(!data.exists(), "it looks, and makes nothing");
    let cert = directory.path().join("none.pem");
    let (screen, error) = bad(&["doctor", "--data-dir", path(&data), "--cert", path(&cert)]);
    assert!(screen.contains("fail     certificate"), "{screen}");
    assert!(error.contains("will not do"), "{error}");
    let (_, error) = bad(&["doctor", "--site", "https://www.example.com"]);
    assert!(error.contains("--collector"), "{error}");
}

#[test]
fn a_slip_in_a_command_is_told_the_word() {
    let (_, error) = bad(&["serv"]);
    assert!(error.contains("serve"), "{error}");
}

#[test]
fn check_prints_every_mistake_of_every_file_and_fails() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("tidegate.toml");
    let catalog = directory.path().join("catalog.toml");
    std::fs::write(
        &settings,
        "catalog = \"catalog.toml\"\n[edge]\nhttp = 1\nacck = \"\"\n",
    )
    .unwrap();
    std::fs::write(&catalog, "[[segment]]\nname = \"a\"\nwhen = 'nope == 1'\n").unwrap();
    let (printed, error) = bad(&["check", path(&settings), path(&catalog)]);
    let starts: Vec<String> = vec![
        format!("{}:3:8: edge.http:", settings.display()),
        format!("{}:4:1: edge.acck:", settings.display()),
        format!("{}:3:9: segment[0].when:", catalog.display()),
    ];
    for start in &starts {
        assert!(
            printed.lines().any(|line| line.starts_with(start)),
            "{start}\n{printed}"
        );
    }
    assert_eq!(printed.lines().count(), 3, "{printed}");
    assert!(error.starts_with("3 mistakes"), "{error}");
}

#[test]
fn check_reads_the_catalog_that_the_settings_name() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("tidegate.toml");
    std::fs::write(&settings, "catalog = \"c.toml\"\n").unwrap();
    let (printed, _) = bad(&["check", path(&settings)]);
    assert!(printed.contains("c.toml"), "{printed}");
    std::fs::write(&settings, "catalog = \"c.toml\"\nextra = 1\n").unwrap();
    let (printed, error) = bad(&["check", path(&settings)]);
    assert!(printed.contains("c.toml") && printed.contains(":2:1: extra:"));
    assert!(error.starts_with("2 mistakes"), "{error}");
    std::fs::write(&settings, "catalog = \"c.toml\"\n").unwrap();
    std::fs::write(directory.path().join("c.toml"), "[[source]]\nname = 1\n").unwrap();
    assert!(bad(&["check", path(&settings)]).0.contains("c.toml:2:8:"));
    std::fs::write(
        directory.path().join("c.toml"),
        crate::catalog::default::TEXT,
    )
    .unwrap();
    assert_eq!(good(&["check", path(&settings)]).lines().count(), 2);
}

#[test]
fn check_says_that_a_file_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("k.toml");
    for (text, empty) in [("", true), ("# [edge]\n", true), ("[edge]\n", false)] {
        std::fs::write(&file, text).unwrap();
        let printed = good(&["check", path(&file)]);
        assert!(printed.contains("good settings"), "{printed}");
        assert_eq!(printed.contains("the file is empty"), empty, "{printed}");
    }
}

#[test]
fn check_tells_settings_from_a_catalog_by_the_names_at_the_top() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("k.toml");
    std::fs::write(&file, "[edge.paths]\nsegments = \"/assets/s\"\n").unwrap();
    assert!(good(&["check", path(&file)]).contains("good settings"));
    std::fs::write(&file, "[edge]\nsource = 1\n").unwrap();
    let (printed, _) = bad(&["check", path(&file)]);
    assert!(printed.contains(":2:1: edge.source: unknown key"));
    std::fs::write(&file, "source = [ # all\n]\n").unwrap();
    assert!(good(&["check", path(&file)]).contains("good catalog"));
    std::fs::write(&file, "[edge]\n[[source]]\nname = \"a\"\n").unwrap();
    let (printed, error) = bad(&["check", path(&file)]);
    assert!(printed.contains("source of a catalog and edge of settings"));
    assert!(error.starts_with("1 mistake"), "{error}");
}

#[test]
fn check_reads_the_files_that_settings_name_and_tells_the_line_of_each() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("tidegate.toml");
    let text = "[edge]\nhttps = \"127.0.0.1:8443\"\nextra = 1\n[edge.tls]\ncert = \"c.pem\"\n\
                key = \"k.pem\"\n[admin]\ntoken_file = \"token\"\n[geoip]\ncity = \"g.mmdb\"\n\
                asn = \"a.mmdb\"\n";
    std::fs::write(&settings, text).unwrap();
    std::fs::write(directory.path().join("token"), "short\n").unwrap();
    let (printed, error) = bad(&["check", path(&settings)]);
    for start in [
        ":3:1: edge.extra: ",
        ":5:8: edge.tls.cert: cannot read",
        ":8:14: admin.token_file: the token",
        ":10:8: geoip.city: ",
        ":11:7: geoip.asn: ",
    ] {
        let start = format!("{}{start}", settings.display());
        let told = printed.lines().any(|line| line.starts_with(&start));
        assert!(told, "{start}\n{printed}");
    }
    assert!(error.starts_with("5 mistakes"), "{error}");
    let (_, error) = bad(&["check", "--without-files", path(&settings)]);
    assert!(error.starts_with("1 mistake"), "{error}");
}

#[test]
fn check_and_doctor_warn_of_what_is_published() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("tidegate.toml");
    std::fs::write(&settings, "catalog = \"c.toml\"\n").unwrap();
    let text = "[[source]]\nname = \"s\"\nwrite_key = \"replace-this-key\"\n[[destination]]\n\
                name = \"d\"\nkind = \"webhook\"\nsegments = [\"*\"]\n\
                url = \"http://ads.example.com/\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
    std::fs::write(directory.path().join("c.toml"), text).unwrap();
    let keys = [
        "source \"s\": write_key",
        "destination \"d\": url",
        "destination \"d\": secret",
    ];
    let (verdict, warnings, checked) = tidegate_warns(&["check", path(&settings)]);
    checked.unwrap();
    let lines: Vec<_> = verdict.lines().collect();
    assert_eq!(lines.len(), 2, "{verdict}");
    assert!(lines[0].ends_with(": good settings"), "{verdict}");
    assert!(lines[1].ends_with(": good catalog"), "{verdict}");
    let (examined, _) = tidegate(&["doctor", "--config", path(&settings)]);
    for key in keys {
        assert!(warnings.contains(&format!("warning: {key}:")), "{warnings}");
        assert!(examined.contains(&format!("{key}:")), "{examined}");
    }
}

#[test]
fn check_holds_destinations_against_the_settings() {
    let directory = tempfile::tempdir().unwrap();
    let settings = directory.path().join("tidegate.toml");
    let catalog = directory.path().join("catalog.toml");
    let text = "[[destination]]\nname = \"d\"\nkind = \"webhook\"\nsegments = [\"*\"]\nurl = \
                \"http://127.0.0.1:1/\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
    std::fs::write(&catalog, text).unwrap();
    std::fs::write(&settings, "").unwrap();
    good(&["check", path(&catalog)]);
    let (printed, _) = bad(&["check", path(&settings), path(&catalog)]);
    assert!(
        printed.contains("destination[0].url: needs its private address"),
        "{printed}"
    );
    std::fs::write(&settings, "[activation]\nallow_private = [\"127.0.0.1\"]\n").unwrap();
    good(&["check", path(&settings), path(&catalog)]);
}

#[test]
fn one_expression_is_checked_with_a_mark_under_its_mistake() {
    assert_eq!(
        good(&["rules", "check", "--when", "event.name == 'x'"]),
        "good\n"
    );
    let (printed, _) = bad(&[
        "rules",
        "check",
        "--when",
        "event.name == 'x' && nope == 'y'",
    ]);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("1:22: "), "{printed}");
    assert_eq!(lines[2].find('^'), lines[1].find("nope"), "{printed}");
}

fn record(event: &str) -> Vec<u8> {
    let record = Record {
        generation: 1,
        decided_at: Timestamp(5),
        profile: Some(ProfileId(7)),
        anonymous_id: None,
        user_id: None,
        source: "demo",
        kind: "track",
        event,
        message_id: "m",
        event_time: Timestamp(5),
        purposes: Purposes::GRANTED,
        transitions: Vec::new(),
        fold: Fold::Event(EventFold::default()),
    };
    let json = format!("\"schema\":1,\"event\":\"{event}\"}}");
    record
        .write(Vec::new(), |out| out.extend_from_slice(json.as_bytes()))
        .unwrap()
}

fn journal(data_dir: &Path, events: &[&str]) -> Journal {
    journal_of(data_dir, events.iter().map(|event| record(event)).collect())
}

fn journal_of(data_dir: &Path, payloads: Vec<Vec<u8>>) -> Journal {
    let last = payloads.len() as u64 - 1;
    let settings = tidegate_journal::Settings {
        segment_bytes: 4 << 20,
        ..tidegate_journal::Settings::default()
    };
    let journal = Journal::open(data_dir, Arc::new(RealStorage), settings).unwrap();
    for payload in payloads {
        let mut reservation = journal.reserve(payload.len(), 1).unwrap();
        reservation.ticket(Timestamp(5)).fill(payload);
    }
    let wait = journal.wait_durable(last);
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(wait)
        .unwrap();
    journal
}

#[test]
fn cat_prints_canonical_ndjson_of_a_stopped_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal(directory.path(), &["A", "B", "C"]);
    let id = journal.id().to_owned();
    journal.shutdown();
    drop(journal);
    let data_dir = path(directory.path());
    let printed = good(&["journal", "cat", "--data-dir", data_dir]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[1],
        format!("{{\"journal\":\"{id}\",\"offset\":1,\"schema\":1,\"event\":\"B\"}}")
    );
    let from = good(&[
        "journal",
        "cat",
        "--data-dir",
        data_dir,
        "--from",
        "1",
        "--limit",
        "1",
    ]);
    assert_eq!(from, format!("{}\n", lines[1]));
}

/// The last segment is replaced by zeros from its first record on.
#[test]
fn a_journal_that_ends_below_its_durable_mark_fails_cat_and_list() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal(directory.path(), &["A", "B", "C"]);
    let kafka = journal.cursor("kafka", CursorClass::Required).unwrap();
    kafka.advance(3);
    drop(kafka);
    journal.shutdown();
    drop(journal);
    let data_dir = path(directory.path());
    let cat = ["journal", "cat", "--data-dir", data_dir];
    let list = ["journal", "cursors", "list", "--data-dir", data_dir];
    assert_eq!(good(&cat).lines().count(), 3);
    good(&list);
    let segments = std::fs::read_dir(directory.path().join("journal")).unwrap();
    let mut segments = segments.map(|entry| entry.unwrap().path());
    let segment = segments
        .find(|path| path.extension().is_some_and(|kind| kind == "seg"))
        .unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[4096..].fill(0);
    std::fs::write(&segment, bytes).unwrap();
    let end = "ends at offset 0 and was durable up to 3";
    let (printed, error) = bad(&cat);
    assert!(printed.is_empty() && error.contains(end), "{error}");
    let (printed, error) = bad(&list);
    assert!(printed.contains("kafka") && error.contains(end), "{error}");
    let bounded = [&cat[..], &["--from", "0", "--limit", "0"]].concat();
    assert_eq!(good(&bounded), "");
}

#[test]
fn cat_goes_on_behind_an_unreadable_record() {
    let directory = tempfile::tempdir().unwrap();
    let payloads = vec![record("A"), vec![PAYLOAD_VERSION, 9], record("C")];
    let journal = journal_of(directory.path(), payloads);
    journal.shutdown();
    drop(journal);
    let printed = good(&["journal", "cat", "--data-dir", path(directory.path())]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 2, "{printed}");
    assert!(lines[1].contains("\"offset\":2"), "{printed}");
}

#[test]
fn cat_ends_at_a_record_of_a_newer_format() {
    let directory = tempfile::tempdir().unwrap();
    let payloads = vec![record("A"), vec![PAYLOAD_VERSION + 1, 9], record("C")];
    let journal = journal_of(directory.path(), payloads);
    journal.shutdown();
    drop(journal);
    let (printed, error) = bad(&["journal", "cat", "--data-dir", path(directory.path())]);
    assert_eq!(printed.lines().count(), 1, "{printed}");
    assert!(error.contains("is newer than this build reads"), "{error}");
}

#[test]
fn cat_reads_beside_a_running_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal(directory.path(), &["A", "B"]);
    // The mark that tells others of the last batch is written shortly after it.
    let mut printed = String::new();
    for _ in 0..200 {
        printed = good(&["journal", "cat", "--data-dir", path(directory.path())]);
        if printed.lines().count() == 2 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(printed.lines().count(), 2, "{printed}");
    journal.shutdown();
}

#[test]
fn cat_without_a_journal_says_where_it_looked() {
    let directory = tempfile::tempdir().unwrap();
    let (_, error) = bad(&["journal", "cat", "--data-dir", path(directory.path())]);
    assert!(error.contains("--data-dir"), "{error}");
}

#[test]
fn saved_cursors_are_listed_and_dropped_while_no_gateway_runs() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = path(directory.path());
    let journal = journal(directory.path(), &["A"]);
    journal
        .cursor("kafka", CursorClass::Required)
        .unwrap()
        .advance(1);
    let (_, error) = bad(&[
        "journal",
        "cursors",
        "drop",
        "kafka",
        "--data-dir",
        data_dir,
    ]);
    assert!(error.contains("in use"), "{error}");
    journal.shutdown();
    drop(journal);
    let listed = good(&["journal", "cursors", "list", "--data-dir", data_dir]);
    assert!(listed.starts_with("NAME"), "{listed}");
    assert!(listed.contains("kafka  required"), "{listed}");
    let dropped = good(&[
        "journal",
        "cursors",
        "drop",
        "kafka",
        "--data-dir",
        data_dir,
    ]);
    assert_eq!(dropped, "dropped kafka\n");
    let (_, error) = bad(&[
        "journal",
        "cursors",
        "drop",
        "kafka",
        "--data-dir",
        data_dir,
    ]);
    assert!(error.contains("tidegate journal cursors list"), "{error}");
}

#[test]
fn a_saved_cursor_that_the_next_start_needs_is_dropped_only_by_force() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.toml");
    let data_dir = directory.path().join("data");
    let text = format!("data_dir = {data_dir:?}\n[kafka]\nbrokers = \"127.0.0.1:9\"\n");
    std::fs::write(&file, text).unwrap();
    let journal = journal(&data_dir, &["A"]);
    let needed = ["checkpoint", "activation", "kafka"];
    for name in needed {
        journal.cursor(name, CursorClass::Required).unwrap();
    }
    journal.shutdown();
    drop(journal);
    let drop = ["journal", "cursors", "drop"];
    let at = ["--config", path(&file), "--data-dir", path(&data_dir)];
    for name in needed {
        let (_, error) = bad(&[&drop[..], &[name], &at].concat());
        assert!(error.contains("would let records go"), "{error}");
        assert!(error.contains("--force"), "{error}");
        let dropped = good(&[&drop[..], &[name, "--force"], &at].concat());
        assert_eq!(dropped, format!("dropped {name}\n"));
    }
}

#[test]
fn repair_leaves_a_sound_journal_alone() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal(directory.path(), &["A"]);
    journal.shutdown();
    drop(journal);
    let printed = good(&["journal", "repair", "--data-dir", path(directory.path())]);
    assert!(printed.contains("sound"), "{printed}");
}

/// A gateway's admin listener on a port of its own, in a thread that ends with it.
struct Gateway {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Gateway {
    fn start(token: Option<&str>) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let token = token.map(Token::new);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let registry = Arc::new(Registry::default());
                let admin = Admin::new(Fake::new(), registry, token, Settings::default().admin);
                crate::admin::serve(listener, None, Arc::new(admin), async {
                    let _ = stopped.await;
                })
                .await;
            });
        });
        Self {
            address: told.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn destinations_are_listed_tested_and_replayed_through_the_gateway() {
    let gateway = Gateway::start(None);
    let admin = gateway.url();
    let at = ["--admin", &admin];
    let run = |words: &[&str]| tidegate(&[words, &at].concat());
    let (listed, _) = run(&["destinations", "list"]);
    assert!(listed.contains("ads   webhook  delivering  3"), "{listed}");
    let (json, _) = run(&["destinations", "list", "--json"]);
    assert!(json.starts_with("{\"name\":\"ads\""), "{json}");
    assert!(json.contains("\"state\":\"closed\""), "{json}");
    let (_, help) = bad(&["destinations", "dead-letters", "--help"]);
    assert!(help.contains("At most this many, newest first"), "{help}");
    let (printed, result) = run(&["destinations", "test", "ads"]);
    assert_eq!(printed, "500 in 3 ms (server error)\n");
    assert!(matches!(result, Err(CliError::NotDelivered)));
    assert!(listed.contains("crm   webhook  disabled"), "{listed}");
    assert!(listed.contains("old   webhook  removed"), "{listed}");
    let hint = "mend the receiver, then: tidegate destinations enable crm\n";
    assert!(listed.ends_with(hint), "{listed}");
    let (enabled, _) = run(&["destinations", "enable", "ads"]);
    assert_eq!(enabled, "enabled ads\n");
    let (letters, _) = run(&["destinations", "dead-letters", "ads"]);
    assert!(letters.contains("7   buyers"), "{letters}");
    let (replayed, _) = run(&["destinations", "replay", "ads", "--id", "7"]);
    assert!(replayed.starts_with("2 queued again"), "{replayed}");
    let (_, result) = run(&["destinations", "test", "nobody"]);
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("there is no destination \"nobody\""),
        "{error}"
    );
    let (cursors, _) = run(&["journal", "cursors", "list"]);
    assert!(cursors.contains("kafka  required  5"), "{cursors}");
    let (_, result) = run(&["journal", "cursors", "drop", "kafka"]);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("\"kafka\" is in use"), "{error}");
    assert!(error.contains("it never gets them"), "{error}");
    assert!(
        error.contains("take [kafka] out of the settings"),
        "{error}"
    );
}

#[test]
fn reload_prints_what_changed_and_what_waits() {
    let gateway = Gateway::start(None);
    let admin = gateway.url();
    let (printed, result) = tidegate(&["reload", "--admin", &admin]);
    assert!(result.is_ok());
    assert_eq!(
        printed,
        "changed        edge.body_bytes_max\nneeds restart  edge.http\n"
    );
}

#[test]
fn apply_sends_a_good_file_and_prints_the_mistakes_of_a_bad_one() {
    let gateway = Gateway::start(None);
    let admin = gateway.url();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    std::fs::write(
        &file,
        "[[segment]]\nname = \"a\"\nwhen = \"event.name == 'a'\"\n",
    )
    .unwrap();
    let dry = good(&["apply", path(&file), "--dry-run", "--admin", &admin]);
    assert_eq!(
        dry,
        "added     segment a\n1 change; nothing applied (dry run)\n"
    );
    let applied = good(&["apply", path(&file), "--admin", &admin]);
    assert!(
        applied.contains("1 change; generation 1, digest "),
        "{applied}"
    );
    // Only the gateway knows which segments there are.
    let destination = "[[destination]]\nname = \"d\"\nkind = \"webhook\"\nsegments = \
                       [\"b\"]\nurl = \"https://x.example\"\nsecret = \
                       \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
    std::fs::write(&file, destination).unwrap();
    let (printed, error) = bad(&["apply", path(&file), "--admin", &admin]);
    assert!(printed.contains("c.toml:4:13: destination[0].segments: there is no segment"));
    assert!(error.starts_with("1 mistake;"), "{error}");
    std::fs::write(&file, "[[segment]]\nname = \"A\"\n").unwrap();
    let (printed, error) = bad(&["apply", path(&file), "--admin", &admin]);
    assert!(
        printed.contains("c.toml:2:8:") && printed.contains("c.toml:1:1:"),
        "{printed}"
    );
    assert!(error.starts_with("2 mistakes"), "{error}");
}

#[test]
fn the_token_comes_from_its_file() {
    let token = "0123456789abcdef0123";
    let gateway = Gateway::start(Some(token));
    let admin = gateway.url();
    let (_, error) = bad(&["destinations", "list", "--admin", &admin]);
    assert!(error.contains("--token-file"), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    good(&[
        "destinations",
        "list",
        "--admin",
        &admin,
        "--token-file",
        path(&file),
    ]);
}

#[test]
fn without_a_gateway_the_error_says_how_to_start_one() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (_, error) = bad(&[
        "destinations",
        "list",
        "--admin",
        &format!("http://{address}"),
    ]);
    assert!(
        error.contains("tidegate serve") && error.contains("--admin URL"),
        "{error}"
    );
    for (url, word) in [
        ("ftp://x", "is not an admin address"),
        ("https://x", "--admin-ca"),
    ] {
        let (_, error) = bad(&["destinations", "list", "--admin", url]);
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn bad_settings_stop_every_command_with_their_mistakes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("t.toml");
    std::fs::write(&file, "[admin]\nlisten = \"x\"\nlisen = 1\n").unwrap();
    let (_, error) = bad(&["destinations", "list", "--config", path(&file)]);
    assert_eq!(error.lines().count(), 2, "{error}");
    assert!(
        error.contains("t.toml:3:1: admin.lisen: unknown key"),
        "{error}"
    );
}
