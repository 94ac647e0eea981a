//! A protocol is a folder and its lines in the list: no other file names it.

use std::fs;

use super::source::{hidden_from_tests, rust_files};
use super::{read, root};

const FOLDER: &str = "collector/src/protocols";

/// Protocols that use another one: the first uses the second.
const USES: &[(&str, &str)] = &[
    // Its `data` is a native body.
    ("pixel", "native"),
];

/// Files elsewhere that name one all the same.
const NAMED_IN: &[&str] = &[
    // Makes hits of native bodies, for tests.
    "collector/src/fixture.rs",
];

#[test]
fn a_protocol_is_one_folder_and_one_list_entry() {
    let folder = root().join(FOLDER);
    let list = folder.join("mod.rs");
    let protocols: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert!(protocols.len() > 2, "{protocols:?}");
    for protocol in protocols.iter().map(String::as_str) {
        for line in [
            format!("mod {protocol};"),
            format!("{protocol}::ENDPOINTS,"),
        ] {
            assert_eq!(read(&list).matches(&line).count(), 1, "{line}");
        }
        for file in rust_files(&root().join("collector/src")) {
            let user = file.strip_prefix(&folder).ok();
            let user = user.and_then(|path| path.iter().next()?.to_str());
            let may = user.is_some_and(|user| user == protocol || USES.contains(&(user, protocol)))
                || file == list
                || NAMED_IN.iter().any(|named| file == root().join(named));
            let names = hidden_from_tests(&read(&file)).contains(&format!("{protocol}::"));
            assert!(may || !names, "{} names {protocol}", file.display());
        }
    }
}
