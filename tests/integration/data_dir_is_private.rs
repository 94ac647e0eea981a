//! What the gateway writes about visitors is for its own user only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tidegate_tests::{Config, Gateway, turn};

#[test]
fn nobody_else_may_read_the_data_directory_whatever_the_umask() {
    let _turn = turn();
    let mut gateway = Gateway::start_by(&Config::new(), &mut |serve, _: &Path| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 022; exec \"$@\"", "sh"]);
        shell.arg(serve.get_program()).args(serve.get_args());
        shell
    });
    let answer = gateway.post(&json!({"type": "page", "anonymousId": "a"}));
    assert!(answer.status.is_success());
    assert!(gateway.terminate().success());
    let mut open = Vec::new();
    look(gateway.data_dir(), &mut open);
    assert!(open.is_empty(), "{open:?}");
    let records = gateway.cli(&["journal", "cat"]).unwrap();
    assert!(records.contains("\"page\""), "its own user reads it");
}

/// Notes what group or others may do anything with.
fn look(path: &Path, open: &mut Vec<String>) {
    let found = fs::symlink_metadata(path).unwrap();
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        open.push(format!("{mode:o} {}", path.display()));
    }
    if found.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), open);
        }
    }
}
