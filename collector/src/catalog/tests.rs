use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use tidegate_activation::destinations::{Form, KINDS};
use tidegate_event::{SegmentId, Timestamp};

use super::caution::cautions;
use super::change::{Applied, EntryChange};
use super::destination::configs;
use super::file::{Context, Declared, read};
use super::store::{ApplyError, ConfiguredFile, FILE, Store};
use super::{Catalog, DestinationKind, GpcPolicy, SourceKind, canonical, default, write};
use crate::document::units::write_duration;
use crate::document::{Document, Environment, Reader};
use crate::settings::Cidr;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const AT: Timestamp = Timestamp(1_000);

const WHOLE: &str = r#"
[[source]]
name = "shop"
write_key = "k1"
origins = ["https://www.example.com", "http://localhost:8090", "http://[::1]:3000"]
session_gap = "20m"
gpc = "no-share"
dnt = true
conversions = ["Order Completed"]

[[source]]
name = "crm"
write_key = "k2"
kind = "server"
consent_default = "anonymous"

[[segment]]
name = "pricing-interested"
when = 'page.path.startsWith("/pricing") && session.page_views >= 3'

[[destination]]
name = "ads"
kind = "webhook"
segments = ["pricing-interested"]
url = "https://ads.example.com/hook"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
rps = 5
timeout = "3s"
"#;

fn declared(text: &str) -> Result<Declared, Vec<String>> {
    let document = Document::parse("catalog.toml", text);
    let context = Context {
        current: Some(&Catalog::default()),
        allow_private: Some(&[]),
    };
    read(&document, context).map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn faults(text: &str) -> Vec<String> {
    declared(text).expect_err("has mistakes")
}

#[test]
fn a_whole_catalog_is_read_with_its_defaults() {
    let declared = declared(WHOLE).unwrap();
    let sources = declared.sources.unwrap();
    assert_eq!(sources[0].session_gap_ms, 1_200_000);
    assert_eq!((sources[0].gpc, sources[0].dnt), (GpcPolicy::NoShare, true));
    assert_eq!(sources[0].kind, SourceKind::Web);
    assert_eq!(sources[1].kind, SourceKind::Server);
    assert_eq!(sources[1].session_gap_ms, 1_800_000);
    assert_eq!(
        declared.segments.unwrap()[0].wake_up_max_delay_ms,
        86_400_000
    );
    let kind = &declared.destinations.unwrap()[0].kind;
    let number = |key| kind.number(key).unwrap();
    let (rps, timeout_ms, concurrency) = (number("rps"), number("timeout"), number("concurrency"));
    assert_eq!((rps, timeout_ms, concurrency), (5, 3_000, 64));
}

#[test]
fn a_kind_that_the_file_does_not_name_is_not_declared_and_an_empty_list_is() {
    let declared = declared("segment = []\n").unwrap();
    assert_eq!(declared.segments, Some(Vec::new()));
    assert_eq!(declared.sources, None);
}

fn committed(path: &str) -> String {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(root.join(path)).unwrap()
}

#[test]
fn the_example_is_good() {
    let example = declared(&committed("deploy/catalog.example.toml")).unwrap();
    assert_eq!(example.segments.unwrap().len(), 2);
}

#[test]
fn the_reference_names_every_key_and_no_other() {
    let text = "[[source]]\n[[segment]]\n[[destination]]\n";
    let document = Document::parse("c", text);
    let environment = Environment::new();
    let reader = Reader::new(&document, &environment);
    super::file::read_entries(&reader);
    let read: BTreeSet<String> = reader
        .asked()
        .iter()
        .map(|path| path.replace("[0].", "."))
        .collect();
    let mut kind = String::new();
    let mut listed = BTreeSet::new();
    for line in committed("docs/catalog.md").lines() {
        if let Some(rest) = line.strip_prefix("## `[[") {
            kind = rest.trim_end_matches("]]`").to_owned();
        } else if let Some(rest) = line.strip_prefix("| `") {
            listed.insert(format!("{kind}.{}", rest.split('`').next().unwrap()));
        }
    }
    assert_eq!(listed, read);
}

#[test]
fn the_reference_says_what_the_kinds_declare() {
    let reference = committed("docs/catalog.md");
    for kind in KINDS {
        let of_kind = format!("`\"{}\"`: {}", kind.name, kind.documentation);
        assert!(reference.contains(&of_kind), "missing: {of_kind}");
        for key in kind.keys {
            let default = match &key.form {
                Form::Text { .. } | Form::Secrets { .. } => "required".to_owned(),
                Form::Number { default, .. } => format!("`{default}`"),
                Form::Duration { default, .. } => format!("`\"{}\"`", write_duration(*default)),
            };
            let line = format!("| `{}` | {default} | {} |", key.name, key.documentation);
            assert!(reference.contains(&line), "missing: {line}");
        }
    }
}

const STUB: &str = "[[destination]]\nname = \"d\"\nkind = \"stub\"\nsegments = [\"*\"]\n\
                    endpoint = \"https://published.example\"\ntoken = \"a-long-token\"\n\
                    timeout = \"2s\"\n";

#[test]
fn a_kind_that_only_its_folder_knows_is_applied() {
    let store = Fixture::new();
    assert_eq!(store.apply(STUB).unwrap().generation, 1);
    let catalog = store.store.current().unwrap().catalog;
    let stored = r#"{"stub":{"endpoint":"https://published.example","token":"a-long-token","timeout_ms":2000}}"#;
    let kind = &catalog.destinations[0].kind;
    assert_eq!(serde_json::to_string(kind).unwrap(), stored);
    assert!(!format!("{catalog:?}").contains("a-long-token"));
    let configs = configs(&catalog.destinations, 1_000);
    assert_eq!(configs[0].limits.timeout_ms, 2_000);
    let cautions = cautions(&[], &catalog.destinations);
    assert_eq!(cautions[0].key, "destination \"d\": endpoint");
    let printed = write::toml(&catalog);
    assert_eq!(
        declared(&printed).unwrap().destinations,
        Some(catalog.destinations)
    );
}

#[test]
fn values_that_a_kind_refuses_are_blamed_at_their_place() {
    let text = STUB
        .replace("https:", "http:")
        .replace("a-long-token", "short");
    assert_eq!(
        faults(&text),
        [
            "catalog.toml:5:12: destination[0].endpoint: is not an https URL",
            "catalog.toml:6:9: destination[0].token: is shorter than 8 characters",
        ]
    );
}

#[test]
fn the_default_catalog_is_one_source_named_demo() {
    let sources = declared(default::TEXT).unwrap().sources.unwrap();
    assert_eq!(
        (sources[0].name.as_str(), sources[0].write_key.as_str()),
        ("demo", "demo")
    );
    assert_eq!(sources.len(), 1);
}

fn source(lines: &str) -> String {
    format!("[[source]]\nname = \"s\"\nwrite_key = \"k\"\n{lines}\n")
}

fn segment(lines: &str) -> String {
    format!("[[segment]]\nname = \"p\"\n{lines}\n")
}

fn webhook(url: &str, secret: &str) -> String {
    format!(
        "[[segment]]\nname = \"p\"\nwhen = \"event.name == 'x'\"\n[[destination]]\nname = \"d\"\n\
         kind = \"webhook\"\nsegments = [\"p\"]\nurl = \"{url}\"\nsecret = \"{secret}\"\n"
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_kind_of_mistake_says_where_it_is_and_what_to_write() {
    let cases = [
        (
            "[[source]]\nname = \"Shop\"\nwrite_key = \"k\"".to_owned(),
            "2:8: source[0].name: \"Shop\" is not a name of 1 to 64 of",
        ),
        (
            "[[source]]\nwrite_key = \"k\"".to_owned(),
            "1:1: source[0].name: is missing; add name = \"shop\"",
        ),
        (
            "[[source]]\nname = \"s\"".to_owned(),
            "1:1: source[0].write_key: is missing",
        ),
        (
            "[[source]]\nname = \"s\"\nwrite_key = \"a:b\"".to_owned(),
            "3:13: source[0].write_key: is not 1 to 128 visible characters without a colon",
        ),
        (
            source("kind = \"webb\""),
            "4:8: source[0].kind: \"webb\" is not one of \"web\", \"server\"; did you mean \"web\"?",
        ),
        (
            source("session_gap = \"4m\""),
            "4:15: source[0].session_gap: 4m is out of range; write a value from 5m to 475m",
        ),
        (
            source("consent_default = \"yes\""),
            "4:19: source[0].consent_default: \"yes\" is not one of",
        ),
        (
            source("origins = [\"https://a.com\", \"https://A.com/\"]"),
            "4:29: source[0].origins[1]: \"https://A.com/\" is not an origin",
        ),
        (
            source("orgins = []"),
            "4:1: source[0].orgins: unknown key; did you mean \"origins\"?",
        ),
        (
            source("dnt = \"no\""),
            "4:7: source[0].dnt: expected true or false, found a text",
        ),
        (
            source("[[sources]]"),
            "4:3: sources: unknown key; did you mean \"source\"?",
        ),
        (segment("when = 'nope == \"/\"'"), "3:9: segment[0].when: "),
        (
            segment("when = '1'"),
            "3:9: segment[0].when: a segment must be a yes or no (bool)",
        ),
        (
            segment("when = \"\""),
            "3:9: segment[0].when: the expression is empty; write one such as",
        ),
        (
            segment("when = 'event.name == \"x\"'\nwake_up_max_delay = \"1s\""),
            "4:21: segment[0].wake_up_max_delay: 1s is out of range; write a value from 1m to 30d",
        ),
        (
            webhook("ads.example.com", SECRET),
            "8:7: destination[0].url: is not an http or https URL",
        ),
        (
            webhook("https://u:p@ads.example.com", SECRET),
            "8:7: destination[0].url: is not a URL without user and password",
        ),
        (
            webhook("http://127.0.0.1:9/x", SECRET),
            "8:7: destination[0].url: needs its private address to be allowed; add it to activation.allow_private",
        ),
        (
            webhook("https://ads.example.com", "whsec_short"),
            "9:10: destination[0].secret: is not a Standard Webhooks secret",
        ),
        (
            webhook("https://ads.example.com", SECRET).replace("[\"p\"]", "[\"p\", \"q\"]"),
            "7:18: destination[0].segments: there is no segment \"q\"",
        ),
        (
            webhook("https://ads.example.com", SECRET).replace("webhook", "webhok"),
            "6:8: destination[0].kind: \"webhok\" is not one of \"webhook\"; did you mean \"webhook\"?",
        ),
        (
            format!("{}{}", source(""), source("").replace("\"k\"", "\"l\"")),
            "6:8: source[1].name: \"s\" is used twice, first on line 2; write another name",
        ),
        (
            format!("{}{}", source(""), source("").replace("\"s\"", "\"t\"")),
            "7:13: source[1].write_key: the write key of \"s\" (line 3) is used again",
        ),
    ];
    for (text, expected) in cases {
        let told = faults(&text);
        assert_eq!(told.len(), 1, "{text}: {told:#?}");
        assert!(
            told[0].starts_with(&format!("catalog.toml:{expected}")),
            "{text}:\n  told {}\n  not  {expected}",
            told[0]
        );
    }
}

#[test]
fn mistakes_of_every_section_are_told_at_once() {
    let text = format!(
        "[[source]]\nname = \"A\"\nwrite_key = \"k\"\nsession_gap = \"9h\"\n[[segment]]\nname = \
         \"p\"\nwhen = 'nope == 1'\n[[segment]]\nname = \"q\"\nwhen = \
         '1'\n[[destination]]\nname = \"d\"\nkind = \"webhook\"\nsegments = [\"r\"]\nurl = \
         \"x\"\nsecret = \"{SECRET}\"\nextra = 1\n"
    );
    let told = faults(&text);
    let lines: Vec<&str> = told
        .iter()
        .map(|fault| fault.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        lines,
        [
            "catalog.toml:2:8",
            "catalog.toml:4:15",
            "catalog.toml:7:9",
            "catalog.toml:10:9",
            "catalog.toml:14:13",
            "catalog.toml:15:7",
            "catalog.toml:17:1",
        ],
        "{told:#?}"
    );
}

#[test]
fn a_wrong_kind_does_not_hide_the_rest() {
    let text = webhook("ads.example.com", SECRET)
        .replace("webhook", "http")
        .replace("[\"p\"]", "[\"q\"]");
    let told = faults(&text);
    for (fault, key) in told.iter().zip(["kind", "segments", "url"]) {
        assert!(
            fault.contains(&format!("destination[0].{key}: ")),
            "{told:#?}"
        );
    }
    assert_eq!(told.len(), 3, "{told:#?}");
}

#[test]
fn a_misspelt_required_key_is_one_mistake() {
    assert_eq!(
        faults(&segment("wen = 'true'")),
        ["catalog.toml:3:1: segment[0].wen: unknown key; did you mean \"when\"?"]
    );
    let told = faults(&segment("colour = 'true'"));
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("segment[0].when: is missing"), "{told:#?}");
}

#[test]
fn a_segment_without_a_name_is_told_of_its_condition_as_well() {
    let text = "[[segment]]\nwhen = 'event.nme == 1'\n[[segment]]\nwhen = 'event.nme == 2'\n";
    let faults = faults(text);
    assert_eq!(faults.len(), 4, "{faults:?}");
    for line in [2, 4] {
        let of_it = |fault: &&String| fault.contains(&format!(":{line}:")) && fault.contains("nme");
        assert_eq!(faults.iter().filter(of_it).count(), 1, "{faults:?}");
    }
}

#[test]
fn an_expression_fault_points_into_the_file_whatever_the_quotes() {
    let cases = [
        ("when = 'event.name == \"x\" && nope == \"y\"'", 3, 30),
        (
            "when = \"event.name == \\\"x\\\" && nope == \\\"y\\\"\"",
            3,
            32,
        ),
        (
            "when = '''\nevent.name == \"x\" &&\n  nope == \"y\"'''",
            5,
            3,
        ),
        (
            "when = \"\"\"\nevent.name == 'x' && \\\n     nope == 'y'\"\"\"",
            5,
            6,
        ),
    ];
    for (when, line, column) in cases {
        let told = faults(&segment(when));
        let at = format!("catalog.toml:{line}:{column}: segment[0].when: ");
        assert!(told[0].starts_with(&at), "{when}: {told:#?}");
    }
}

#[test]
fn two_names_with_one_short_key_are_refused() {
    let (first, second) = colliding_names();
    let text = format!(
        "[[segment]]\nname = \"{first}\"\nwhen = \"event.name == 'x'\"\n[[segment]]\nname = \
         \"{second}\"\nwhen = \"event.name == 'y'\"\n"
    );
    let told = faults(&text);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("has the same short key as"), "{told:#?}");
}

fn colliding_names() -> (String, String) {
    let mut seen = std::collections::HashMap::new();
    (0_u32..)
        .find_map(|n| {
            let name = format!("s{n}");
            let other = seen.insert(SegmentId::of(&name), name.clone());
            other.map(|other| (other, name))
        })
        .expect("32 bits collide within some 100,000 names")
}

#[test]
fn secrets_and_write_keys_are_never_told() {
    let told = faults(&webhook("https://u:hidden@x.example", "whsec_hidden")).join("\n");
    assert!(!told.contains("hidden"), "{told}");
}

struct Fixture {
    directory: tempfile::TempDir,
    store: Store,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        Self { directory, store }
    }

    fn apply(&self, text: &str) -> Result<Applied, ApplyError> {
        let document = Document::parse("catalog.toml", text);
        self.store.apply(&document, Some(&[]), AT)
    }

    fn changes(&self, text: &str) -> Vec<(String, EntryChange)> {
        let applied = self.apply(text).unwrap();
        let pair = |change: super::change::Change| (change.name, change.change);
        applied.changes.into_iter().map(pair).collect()
    }
}

const TWO_SEGMENTS: &str = "[[segment]]\nname = \"a\"\nwhen = \"event.name == 'a'\"\n[[segment]]\n\
                            name = \"b\"\nwhen = \"event.name == 'b'\"\n";
const ONE_SEGMENT: &str = "[[segment]]\nname = \"b\"\nwhen = \"event.name == 'c'\"\n";

#[test]
fn a_file_owns_the_kinds_it_declares_and_disables_what_left_it() {
    let store = Fixture::new();
    assert_eq!(store.apply(WHOLE).unwrap().generation, 1);
    let change = |name: &str, fate| (name.to_owned(), fate);
    assert_eq!(
        store.changes(TWO_SEGMENTS),
        [
            change("a", EntryChange::Added),
            change("b", EntryChange::Added),
            change("pricing-interested", EntryChange::Disabled),
        ]
    );
    let current = store.store.current().unwrap();
    assert_eq!(current.generation, 2);
    assert_eq!(
        current.catalog.sources.len(),
        2,
        "the file says nothing of sources"
    );
    assert_eq!(
        store.changes(ONE_SEGMENT),
        [
            change("b", EntryChange::Changed),
            change("a", EntryChange::Disabled)
        ]
    );
    assert_eq!(
        store.changes(TWO_SEGMENTS),
        [
            change("a", EntryChange::Enabled),
            change("b", EntryChange::Changed)
        ]
    );
    assert_eq!(store.store.current().unwrap().generation, 4);
}

#[test]
fn the_same_catalog_again_is_the_same_generation() {
    let store = Fixture::new();
    let first = store.apply(TWO_SEGMENTS).unwrap();
    let again = store
        .apply(&format!("# a comment\n{TWO_SEGMENTS}"))
        .unwrap();
    assert_eq!(
        (again.generation, again.digest),
        (first.generation, first.digest)
    );
    assert!(again.changes.is_empty());
    assert_eq!(store.store.history(10).unwrap().len(), 1);
}

#[test]
fn the_last_file_applied_is_remembered_over_a_restart() {
    let store = Fixture::new();
    let state = store.store.configured_file(TWO_SEGMENTS).unwrap();
    assert_eq!(state, ConfiguredFile::Changed);
    store.apply(TWO_SEGMENTS).unwrap();
    let before = store.store.current().unwrap();
    let Fixture { directory, store } = store;
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    let state = |text| store.configured_file(text).unwrap();
    assert_eq!(state(TWO_SEGMENTS), ConfiguredFile::InForce);
    assert_eq!(state(ONE_SEGMENT), ConfiguredFile::Changed);
    assert_eq!(store.current().unwrap(), before);
}

#[test]
fn only_an_edit_makes_the_configured_file_new() {
    let store = Fixture::new();
    store.apply(TWO_SEGMENTS).unwrap();
    store.store.mark_configured(TWO_SEGMENTS).unwrap();
    store.apply(ONE_SEGMENT).unwrap();
    let Fixture { directory, store } = store;
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    let state = |text: &str| store.configured_file(text).unwrap();
    assert_eq!(state(TWO_SEGMENTS), ConfiguredFile::Overridden);
    let edited = format!("# edited\n{TWO_SEGMENTS}");
    assert_eq!(state(&edited), ConfiguredFile::Changed);
    let document = Document::parse("catalog", &edited);
    let prepared = store.prepare(&document, None).unwrap();
    store
        .commit(&prepared.of_configured_file(), Timestamp(0))
        .unwrap();
    assert_eq!(state(&edited), ConfiguredFile::InForce);
    assert_eq!(state(TWO_SEGMENTS), ConfiguredFile::Changed);
}

/// A store of a build that did not keep the configured file's digest.
#[test]
fn an_earlier_store_goes_by_the_last_file() {
    let store = Fixture::new();
    store.apply(TWO_SEGMENTS).unwrap();
    let Fixture { directory, store } = store;
    drop(store);
    let file = directory.path().join(FILE);
    let connection = rusqlite::Connection::open(file).unwrap();
    connection
        .execute_batch("DROP TABLE configured_file")
        .unwrap();
    drop(connection);
    let store = Store::open(directory.path()).unwrap();
    let state = |text| store.configured_file(text).unwrap();
    assert_eq!(state(TWO_SEGMENTS), ConfiguredFile::InForce);
    assert_eq!(state(ONE_SEGMENT), ConfiguredFile::Changed);
}

#[test]
fn a_refused_or_only_prepared_catalog_changes_nothing() {
    let store = Fixture::new();
    store.apply(TWO_SEGMENTS).unwrap();
    let before = store.store.current().unwrap();
    assert!(matches!(
        store.apply("[[segment]]\nname = 3\n"),
        Err(ApplyError::Faults(_))
    ));
    let document = Document::parse("catalog.toml", ONE_SEGMENT);
    let prepared = store.store.prepare(&document, None).unwrap();
    assert_eq!(prepared.applied.generation, 2);
    assert_eq!(prepared.catalog.segments.len(), 1);
    assert_eq!(store.store.current().unwrap(), before);
    store.store.commit(&prepared, AT).unwrap();
    assert_eq!(store.store.current().unwrap().catalog, prepared.catalog);
    assert_eq!(prepared.catalog.disabled_segments.len(), 1);
    assert!(before.catalog.disabled_segments.is_empty());
    store.apply(TWO_SEGMENTS).unwrap();
    assert_eq!(store.store.current().unwrap().catalog, before.catalog);
}

#[test]
fn a_prepared_catalog_that_was_overtaken_is_refused() {
    let store = Fixture::new();
    let document = Document::parse("catalog.toml", ONE_SEGMENT);
    let prepared = store.store.prepare(&document, None).unwrap();
    store.apply(TWO_SEGMENTS).unwrap();
    assert!(matches!(
        store.store.commit(&prepared, AT),
        Err(ApplyError::Conflict)
    ));
}

#[test]
fn a_destination_may_name_a_segment_that_only_the_store_has() {
    let store = Fixture::new();
    let alone = |segment: &str| {
        format!(
            "[[destination]]\nname = \"d\"\nkind = \"webhook\"\nsegments = [\"{segment}\"]\nurl = \
             \"https://x.example\"\nsecret = \"{SECRET}\"\n"
        )
    };
    store.apply(TWO_SEGMENTS).unwrap();
    assert!(store.apply(&alone("a")).is_ok());
    assert!(store.apply(&alone("*")).is_ok());
    assert!(matches!(
        store.apply(&alone("c")),
        Err(ApplyError::Faults(_))
    ));
}

#[test]
fn a_private_address_needs_to_be_allowed() {
    let store = Fixture::new();
    let document = Document::parse(
        "c",
        "[[destination]]\nname = \"d\"\nkind = \"webhook\"\n\
        segments = []\nurl = \"http://127.0.0.1:1/\"\n\
        secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n",
    );
    let loopback = Cidr {
        network: "127.0.0.0".parse().unwrap(),
        prefix: 8,
    };
    assert!(store.store.prepare(&document, Some(&[])).is_err());
    assert!(store.store.prepare(&document, Some(&[loopback])).is_ok());
    assert!(store.store.prepare(&document, None).is_ok());
}

#[test]
fn contents_are_kept_by_digest_until_they_are_forgotten() {
    let store = Fixture::new();
    let first = store.apply(TWO_SEGMENTS).unwrap();
    let second = store.apply(ONE_SEGMENT).unwrap();
    let content = store.store.content(&first.digest).unwrap().unwrap();
    assert_eq!(canonical::digest(&canonical::text(&content)), first.digest);
    store.store.forget_contents_before(2).unwrap();
    assert_eq!(store.store.content(&first.digest).unwrap(), None);
    assert!(store.store.content(&second.digest).unwrap().is_some());
    store.store.forget_contents_before(99).unwrap();
    assert!(
        store.store.content(&second.digest).unwrap().is_some(),
        "it is in force"
    );
    assert_eq!(store.store.history(10).unwrap()[0].applied, second);
}

#[test]
fn the_store_is_readable_by_its_owner_only() {
    let store = Fixture::new();
    store.apply(WHOLE).unwrap();
    for entry in std::fs::read_dir(store.directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    assert!(store.directory.path().join(FILE).exists());
}

#[test]
fn a_store_of_a_newer_build_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).unwrap());
    let connection = rusqlite::Connection::open(directory.path().join(FILE)).unwrap();
    connection.pragma_update(None, "user_version", 9).unwrap();
    drop(connection);
    let error = Store::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("schema 9 is newer"), "{error}");
}

#[test]
fn a_secret_is_one_or_a_list() {
    const OLD: &str = "whsec_AfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let url = "https://ads.example.com";
    let one = format!("secret = \"{SECRET}\"");
    let with = |value: &str| webhook(url, SECRET).replace(&one, &format!("secret = {value}"));
    let both = declared(&with(&format!("[\"{SECRET}\", \"{OLD}\"]"))).unwrap();
    let destinations = both.destinations.unwrap();
    let configs = configs(&destinations, 1_000);
    let exposed: Vec<_> = configs[0]
        .kind
        .secrets("secret")
        .iter()
        .map(tidegate_activation::Secret::expose)
        .collect();
    assert_eq!(exposed, [SECRET, OLD], "both sign, the current one first");
    let four = vec![destinations[0].clone(); 4];
    for (in_flight_max, each) in [(1_000, 64), (100, 25), (3, 1)] {
        let configs = super::destination::configs(&four, in_flight_max);
        let concurrency = configs.iter().map(|config| config.limits.concurrency);
        assert!(concurrency.eq([each; 4]), "{in_flight_max}");
    }

    let second = faults(&with(&format!("[\"{SECRET}\", \"whsec_short\"]"))).join("\n");
    let place = format!("9:{}: destination[0].secret: is not", 10 + SECRET.len() + 5);
    assert!(second.contains(&place), "{second}");
    assert!(!second.contains("whsec_short"), "{second}");
    let none = faults(&with("[]")).join("\n");
    assert!(none.contains("a list of them holds 1 to 4"), "{none}");
}

#[test]
fn a_stored_destination_of_an_earlier_build_has_one_secret() {
    let stored = r#"{"webhook":{"url":"https://x.example","secret":"whsec_a","rps":1,
        "concurrency":1,"timeout_ms":1000}}"#;
    let kind: DestinationKind = serde_json::from_str(stored).unwrap();
    let (secret, further_secrets) = kind.secrets("secret").split_first().unwrap();
    assert_eq!((secret.expose(), further_secrets.len()), ("whsec_a", 0));
}

#[test]
fn debug_output_hides_webhook_secrets() {
    let declared = declared(WHOLE).unwrap();
    let shown = format!("{:?}", declared.destinations.unwrap());
    assert!(!shown.contains("whsec_"), "{shown}");
}
