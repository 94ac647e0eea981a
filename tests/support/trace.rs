//! System-call traces: a gateway under strace, what its calls prove about acknowledgements, and
//! faults put in at the system-call boundary.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::gateway::Gateway;
use crate::patience::eventually;
use crate::process::installed;

/// Why a trace does not prove that an acknowledgement was durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// Never seen in a write to the journal before the answer.
    NotWritten(String),
    /// Written, but no fdatasync of that file began after it and ended before the answer.
    NotSynced(String),
    /// Never answered at all.
    NotAnswered(String),
}

/// True where strace is installed and may trace; prints why not.
#[must_use]
pub fn available() -> bool {
    let works = installed("strace")
        && Command::new("strace")
            .args(["-o", "/dev/null", "true"])
            .status()
            .is_ok_and(|status| status.success());
    if !works {
        eprintln!("skipped: strace is not installed, or may not trace here");
    }
    works
}

/// Runs `serve` under strace with these further arguments; the trace goes to the file in `dir`.
#[must_use]
pub fn under_strace(serve: &Command, dir: &Path, args: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-y", "-s", "200000", "-o"])
        .arg(trace_file(dir))
        .args([
            "-e",
            "trace=write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2,fdatasync,fsync",
        ])
        .args(args)
        .arg(serve.get_program())
        .args(serve.get_args());
    strace
}

/// Signals to a traced gateway must reach the gateway, not the tracer.
///
/// # Panics
/// Where the tracer has no child.
pub fn signal_the_tracee(gateway: &mut Gateway) {
    let tracer = gateway.process().pid();
    let path = format!("/proc/{tracer}/task/{tracer}/children");
    let pid = eventually("the tracee", || {
        let children = fs::read_to_string(&path).ok()?;
        children.split_whitespace().next()?.parse().ok()
    });
    gateway.process().signal_to(pid);
}

/// The trace of a gateway started through [`under_strace`].
///
/// # Panics
/// Where there is none.
#[must_use]
pub fn read(gateway: &Gateway) -> String {
    let bytes = fs::read(trace_file(gateway.dir())).expect("strace wrote its file");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn trace_file(dir: &Path) -> PathBuf {
    dir.join("strace.out")
}

/// One completed call. `begun` and `ended` are line numbers: strace writes a line when a call is
/// left unfinished for another thread's, and one when it is resumed.
#[derive(Debug)]
struct Call<'a> {
    begun: usize,
    ended: usize,
    name: &'a str,
    /// The file or socket, as `-y` names it.
    on: &'a str,
    text: &'a str,
}

/// Checks each id: its journal write ended, then an fdatasync of the same file began and ended well,
/// and only then the answer that names it and says 200 was written to a socket.
#[must_use]
pub fn unproven(trace: &str, ids: &[String]) -> Vec<Unproven> {
    let calls = calls(trace);
    ids.iter()
        .filter_map(|id| check(&calls, id).err())
        .collect()
}

fn check(calls: &[Call<'_>], id: &str) -> Result<(), Unproven> {
    let quoted = format!("\\\"{id}\\\"");
    let answer = calls
        .iter()
        .filter(|call| is_socket(call.on))
        .find(|call| call.text.contains("HTTP/1.1 200") && call.text.contains(&quoted))
        .ok_or_else(|| Unproven::NotAnswered(id.to_owned()))?;
    let written = calls
        .iter()
        .find(|call| {
            !is_socket(call.on) && call.name.contains("write") && call.text.contains(&quoted)
        })
        .filter(|call| call.ended < answer.begun)
        .ok_or_else(|| Unproven::NotWritten(id.to_owned()))?;
    let synced = calls.iter().any(|call| {
        matches!(call.name, "fdatasync" | "fsync")
            && call.on == written.on
            && call.begun > written.ended
            && call.ended < answer.begun
            && call.text.trim_end().ends_with("= 0")
    });
    if synced {
        Ok(())
    } else {
        Err(Unproven::NotSynced(id.to_owned()))
    }
}

fn is_socket(on: &str) -> bool {
    on.contains("<TCP") || on.contains("<socket:")
}

/// Joins unfinished calls with their ends and sorts nothing: file order is time order.
fn calls(trace: &str) -> Vec<Call<'_>> {
    let mut open: HashMap<&str, (usize, &str)> = HashMap::new();
    let mut calls = Vec::new();
    for (line_number, line) in trace.lines().enumerate() {
        let Some((pid, text)) = line.split_once(' ') else {
            continue;
        };
        let text = text.trim_start();
        if let Some(head) = text.strip_suffix("<unfinished ...>") {
            open.insert(pid, (line_number, head));
        } else if text.starts_with("<...") {
            if let Some((begun, head)) = open.remove(pid) {
                calls.extend(call(begun, line_number, head, text));
            }
        } else {
            calls.extend(call(line_number, line_number, text, text));
        }
    }
    calls
}

/// `head` names the call and its arguments, `end` its result.
fn call<'a>(begun: usize, ended: usize, head: &'a str, end: &'a str) -> Option<Call<'a>> {
    let (name, arguments) = head.split_once('(')?;
    let on = arguments.split([',', ')']).next()?.trim_end();
    // Only syncs are judged by their result, only writes by their arguments.
    let text = if name.contains("sync") { end } else { head };
    Some(Call {
        begun,
        ended,
        name,
        on,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"10 pwrite64(7</d/journal/0.seg>, "..\"m-1\"..", 90, 64 <unfinished ...>
11 write(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "HTTP/1.1 200 OK.. \"m-0\"", 70) = 70
10 <... pwrite64 resumed>) = 90
10 fdatasync(7</d/journal/0.seg> <unfinished ...>
11 write(3</log>, "x", 1) = 1
10 <... fdatasync resumed>) = 0
11 writev(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="HTTP/1.1 200 OK", iov_len=9}, {iov_base="{\"message_id\":\"m-1\"}", iov_len=9}], 2) = 18
"#;

    fn ids() -> Vec<String> {
        vec!["m-1".to_owned()]
    }

    #[test]
    fn write_then_sync_then_answer_is_proof() {
        assert_eq!(unproven(GOOD, &ids()), []);
    }

    #[test]
    fn a_missing_failed_or_foreign_sync_is_none() {
        let expected = [Unproven::NotSynced("m-1".to_owned())];
        let removed: String = GOOD
            .lines()
            .filter(|l| !l.contains("fdatasync"))
            .fold(String::new(), |text, line| text + line + "\n");
        assert_eq!(unproven(&removed, &ids()), expected);
        let failed = GOOD.replace(
            "<... fdatasync resumed>) = 0",
            "<... fdatasync resumed>) = -1 EIO",
        );
        assert_eq!(unproven(&failed, &ids()), expected);
        let foreign = GOOD.replace("fdatasync(7</d/journal/0.seg>", "fdatasync(8</d/other>");
        assert_eq!(unproven(&foreign, &ids()), expected);
    }

    #[test]
    fn an_answer_before_the_end_of_the_sync_is_not_covered() {
        let mut lines: Vec<_> = GOOD.lines().collect();
        lines.swap(5, 6);
        let early = lines.join("\n");
        assert_eq!(
            unproven(&early, &ids()),
            [Unproven::NotSynced("m-1".to_owned())]
        );
    }

    #[test]
    fn a_sync_that_began_before_the_write_ended_does_not_cover_it() {
        let mut lines: Vec<_> = GOOD.lines().collect();
        lines.swap(2, 3);
        let overlapping = lines.join("\n").replace("10 fdatasync", "12 fdatasync");
        let overlapping = overlapping.replace("10 <... fdatasync", "12 <... fdatasync");
        assert_eq!(
            unproven(&overlapping, &ids()),
            [Unproven::NotSynced("m-1".to_owned())]
        );
    }

    #[test]
    fn an_id_never_written_or_answered_is_told_apart() {
        let other = vec!["m-0".to_owned(), "m-9".to_owned()];
        let expected = [
            Unproven::NotWritten("m-0".to_owned()),
            Unproven::NotAnswered("m-9".to_owned()),
        ];
        assert_eq!(unproven(GOOD, &other), expected);
    }
}
