//! Child processes: found, started, signalled by pid, and ended when their guard goes.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::patience::eventually;

/// The binary under test: `TIDEGATE_BIN`, else the workspace's own build beside this test.
///
/// # Panics
/// Where there is none: `cargo build` makes it.
#[must_use]
pub fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("TIDEGATE_BIN") {
        return PathBuf::from(path);
    }
    built("tidegate", "cargo build")
}

/// The gateway with the fdatasync of its journal left out, for tests that have to see it missing.
///
/// # Panics
/// Where it was not built.
#[must_use]
pub fn mutant_without_sync() -> PathBuf {
    built(
        "tidegate-without-sync",
        "cargo build -p tidegate-tests --features mutant-without-sync --bin tidegate-without-sync",
    )
}

fn built(name: &str, by: &str) -> PathBuf {
    // This test is TARGET/debug/deps/integration-HASH; the binaries are in TARGET/debug.
    let test = std::env::current_exe().expect("a running test has a path");
    let built = test
        .parent()
        .and_then(Path::parent)
        .map(|dir| dir.join(name));
    let built = built.expect("tests run inside the target directory");
    assert!(
        built.exists(),
        "{} is not built: run `{by}`",
        built.display()
    );
    built
}

/// A child that never outlives its guard.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    status: Option<ExitStatus>,
    /// The process to signal where it is not the child itself (the tracee of a tracer).
    target: Option<u32>,
}

impl Process {
    /// Starts `command` with stdout and stderr appended to `log`.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log);
        let out = out.expect("the log opens");
        let err = out.try_clone().expect("a file handle is cloned");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| unreachable!("{command:?} does not start: {error}"));
        Self {
            child,
            log: log.to_owned(),
            status: None,
            target: None,
        }
    }

    /// Signals go to this pid from now on.
    pub fn signal_to(&mut self, pid: u32) {
        self.target = Some(pid);
    }

    /// Its pid, or that of the process it stands for.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.target.unwrap_or_else(|| self.child.id())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself meanwhile: waiting tells.
            let _ = kill_process(pid, signal);
        }
    }

    /// Its exit status, where it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child can be waited for");
        }
        self.status
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let log = self.log.clone();
        eventually(&format!("the end of {}", log.display()), || self.ended())
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Resident memory in KiB, and None once it is gone.
    #[must_use]
    pub fn memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::KILL);
            if self.target.is_some() {
                let _ = self.child.kill();
            }
            let _ = self.child.wait();
        }
    }
}

/// Runs a command to its end; its stdout.
///
/// # Errors
/// What it said on stderr and stdout, where it fails.
///
/// # Panics
/// Where it cannot be started.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output();
    let output = output.unwrap_or_else(|error| unreachable!("{command:?} does not start: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        let (errors, rest) = (text(output.stderr), text(output.stdout));
        Err(format!("{}: {errors}{rest}", output.status))
    }
}

/// True where a program is installed.
#[must_use]
pub fn installed(program: &str) -> bool {
    let probe = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    !matches!(probe, Err(error) if error.kind() == io::ErrorKind::NotFound)
}
