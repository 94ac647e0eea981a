//! Who may depend on whom, read from the manifests and the `use` lines, and which file names say
//! nothing. ARCHITECTURE.md explains the table; this makes it hold.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed test says it that way"
)]

mod protocols;
mod rules;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use rules::{
    BAD_NAMES, CRATES, KINDS_LIST, KINDS_NAMED, LINES_AIM, MODULES, SETTINGS_THAT_COMPARE,
};
use source::{declared_keys, dependencies, hidden_from_tests, rust_files};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    for rule in CRATES {
        let used = dependencies(&read(&root().join(rule.folder).join("Cargo.toml")));
        assert!(!used.is_empty(), "{}: no dependencies read", rule.folder);
        for name in used {
            assert!(
                rule.allows(&name),
                "{} may not depend on {name}: {}",
                rule.folder,
                rule.why
            );
        }
    }
}

#[test]
fn modules_keep_to_their_side() {
    for rule in MODULES {
        for file in rust_files(&root().join(rule.folder)) {
            let text = hidden_from_tests(&read(&file));
            if let Some(word) = rule.never.iter().find(|word| text.contains(**word)) {
                panic!(
                    "{}: {word:?} has no place in {}: {}",
                    file.display(),
                    rule.folder,
                    rule.why
                );
            }
        }
    }
}

#[test]
fn a_kind_of_destination_is_known_to_its_folder_and_the_list_only() {
    let folder = root().join("activation/src/destinations");
    let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap());
    let kinds: Vec<_> = entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(kinds.len() >= 2, "{kinds:?}");
    let crates = ["activation/src", "collector/src"].map(|part| root().join(part));
    for file in crates.iter().flat_map(|part| rust_files(part)) {
        let name = file.strip_prefix(root()).unwrap().display().to_string();
        let mut text = hidden_from_tests(&read(&file)).to_ascii_lowercase();
        for (_, word) in KINDS_NAMED.iter().filter(|(at, _)| name.starts_with(at)) {
            text = word.map_or_else(String::new, |word| text.replace(word, ""));
        }
        for kind in &kinds {
            let own = name.starts_with(&format!("activation/src/destinations/{kind}/"));
            assert!(
                own || name == KINDS_LIST || !text.contains(&**kind),
                "{name} names the kind {kind:?}, which its own folder knows"
            );
        }
    }
}

#[test]
fn only_the_command_line_knows_the_wiring() {
    for file in rust_files(&root().join("collector/src")) {
        let name = file.display().to_string();
        let knows = hidden_from_tests(&read(&file)).contains("crate::app");
        assert!(
            !knows || name.contains("/app/") || name.contains("/cli/"),
            "{name}"
        );
    }
}

/// What follows `profile.` on each line where a member of a profile is assigned.
fn assigned(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.split_once("profile."));
    let assigns = |member: &&str| {
        let end = member.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
        let operator = member[end.unwrap_or(member.len())..].trim_start();
        ["= ", "+= ", "-= ", "|= "]
            .iter()
            .any(|assign| operator.starts_with(assign))
    };
    lines.map(|(_, member)| member).filter(assigns).collect()
}

#[test]
fn only_the_fold_changes_a_profile() {
    for folder in ["core", "decide", "background", "cursors", "app"] {
        for file in rust_files(&root().join("collector/src").join(folder)) {
            let name = file.display().to_string();
            let text = hidden_from_tests(&read(&file));
            let found = assigned(&text);
            assert!(
                found.is_empty() || name.contains("/tests/"),
                "{name}: {found:?}"
            );
        }
    }
    let text =
        "live.profile.wake_up = x;\nif live.profile.due() == x {}\nlet at = live.profile.at;";
    assert_eq!(assigned(text), ["wake_up = x;"]);
}

/// Consent is granted where its signals are combined, and nowhere else: what opens identifiers comes
/// from there.
#[test]
fn only_the_consent_folder_grants() {
    for folder in ["collector/src", "activation/src"] {
        for file in rust_files(&root().join(folder)) {
            let name = file.display().to_string();
            let exempt = ["/consent/", "/tests/", "/fixture.rs", "/simulation/"];
            if exempt.iter().any(|part| name.contains(part)) {
                continue;
            }
            let text = hidden_from_tests(&read(&file));
            for word in [
                "Purposes::GRANTED",
                "Purposes::NO_SHARE",
                "Consent {",
                "Consented {",
            ] {
                let made = text.lines().any(|line| {
                    // Taken apart, not made.
                    line.contains(word) && !line.contains("} = ")
                });
                assert!(
                    !made,
                    "{name}: {word}: only collector/src/consent makes a consent"
                );
            }
        }
    }
}

#[test]
fn only_its_own_test_binary_leaves_the_fdatasync_out() {
    const MUTANT: &str = "mutant-without-sync";
    let folders = ["journal", "collector", "tests", "benches", "tests/fuzz"];
    let siblings = CRATES.iter().map(|rule| rule.folder);
    let mut forwarded = Vec::new();
    for folder in siblings.chain(folders).chain([""]) {
        let mut section = String::new();
        for line in read(&root().join(folder).join("Cargo.toml")).lines() {
            if line.starts_with('[') {
                line.clone_into(&mut section);
            } else if line.contains(MUTANT) {
                let declared = section == "[features]" && line.starts_with(MUTANT);
                let needed = section == "[[bin]]" && line.starts_with("required-features");
                assert!(declared || needed, "{folder}: {section} {line}");
                forwarded.push(folder);
            }
        }
    }
    forwarded.sort_unstable();
    forwarded.dedup();
    assert_eq!(forwarded, ["collector", "journal", "tests"]);
}

#[test]
fn only_the_clock_reads_a_clock() {
    for file in rust_files(&root()) {
        // The journal times its syncs on the real side of its storage trait.
        let shell = [
            "/benches/",
            "/tests/",
            "/clock.rs",
            "/journal/src/storage/real.rs",
        ];
        let name = format!("/{}", file.strip_prefix(root()).unwrap().display());
        if shell.iter().any(|part| name.contains(part)) {
            continue;
        }
        // A runtime's own timer may be waited on; a test can turn it.
        let text = hidden_from_tests(&read(&file));
        let imports = ["use tokio::time::Instant", "use tokio::time::{Instant"];
        let text = if imports.iter().any(|import| text.contains(import)) {
            text.replace(" Instant::now", "")
                .replace("(Instant::now", "")
        } else {
            text
        };
        let text = text.replace("tokio::time::Instant", "");
        for word in [
            "SystemTime::now",
            "Instant::now",
            "UtcDateTime::now",
            "now_utc(",
        ] {
            assert!(!text.contains(word), "{name}: {word}: time is passed in");
        }
    }
}

#[test]
fn no_file_name_says_nothing() {
    for file in rust_files(&root()) {
        let path = file.strip_prefix(root()).unwrap();
        for part in path.with_extension("").components() {
            let part = part.as_os_str().to_string_lossy().into_owned();
            assert!(
                !BAD_NAMES.contains(&&*part),
                "{}: name it after what it does",
                path.display()
            );
        }
    }
}

#[test]
fn a_setting_stands_in_one_file() {
    let folder = root().join("collector/src/settings");
    let files: Vec<_> = rust_files(&folder)
        .into_iter()
        .map(|file| (hidden_from_tests(&read(&file)), file))
        .collect();
    let compares = |file: &Path| SETTINGS_THAT_COMPARE.iter().any(|it| file.ends_with(it));
    let mut declared = 0;
    for (text, file) in &files {
        for key in declared_keys(text) {
            declared += 1;
            let elsewhere = files.iter().find(|(other, path)| {
                path != file && !compares(path) && other.contains(&format!("\"{key}\""))
            });
            if let Some((_, elsewhere)) = elsewhere {
                panic!(
                    "{key} of {} is also in {}",
                    file.display(),
                    elsewhere.display()
                );
            }
        }
    }
    assert!(declared > 100, "{declared} keys found");
}

/// An aim, not a limit: long files are listed (`--nocapture`), nothing fails.
#[test]
fn long_files_are_listed() {
    for file in rust_files(&root()) {
        let lines = hidden_from_tests(&read(&file)).lines().count();
        if lines > LINES_AIM {
            println!(
                "{}: {lines} lines",
                file.strip_prefix(root()).unwrap().display()
            );
        }
    }
}

#[test]
fn the_rules_themselves_can_fail() {
    let toml = "[package]\nname = \"x\"\n[dependencies]\ntokio.workspace = true\nserde = { version = \"1\" }\n[dev-dependencies]\nrand = \"1\"\n";
    assert_eq!(dependencies(toml), ["tokio", "serde"]);
    let event = &CRATES[0];
    assert!(event.allows("serde") && !event.allows("tokio"));
    let text =
        hidden_from_tests("use a;\n// tokio\n/// tokio\n#[cfg(test)]\nmod tests { use hyper; }\n");
    assert!(text.contains("use a") && !text.contains("tokio") && !text.contains("hyper"));
    let section =
        "a: u64 = 1 => key(\"s.a\", Live, x()),\nb: u64 = 2\n=> key(\n\"s.b\", Live, x()),";
    assert_eq!(declared_keys(section), ["s.a", "s.b"]);
    let inline = hidden_from_tests("a();\n#[cfg(test)]\nmod tests {\n    b();\n}\nc();\n");
    assert!(inline.contains("a()") && !inline.contains("b()") && inline.contains("c()"));
}
