//! A server under measurement: started on one core, its CPU time and memory read from `/proc`,
//! ended by its own process id.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The core that servers run on; the load generator has the other one.
pub const SERVER_CORE: &str = "0";
/// Bytes in a mebibyte, to print [`Server::rss_bytes`].
pub const MIB: f64 = (1 << 20) as f64;
/// Clock ticks a second in `/proc`: fixed for user space.
const TICKS: f64 = 100.0;
/// How long a server may take to answer or to end.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);

/// A running server. Dropped, it is killed.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts `program` on [`SERVER_CORE`]; what it says goes to `log`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn start(program: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let log = fs::File::create(log)?;
        let child = Command::new("taskset")
            .args(["-c", SERVER_CORE])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU seconds used so far, user and system, its children's included.
    ///
    /// # Errors
    /// Where `/proc` cannot be read.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let mut ticks = stat(self.pid())?.1;
        for entry in fs::read_dir("/proc")?.flatten() {
            let pid = entry.file_name().to_str().and_then(|n| n.parse().ok());
            // A process that ended meanwhile is none of ours: ours stay.
            if let Some(Ok((parent, used))) = pid.map(stat)
                && parent == self.pid()
            {
                ticks += used;
            }
        }
        Ok(ticks as f64 / TICKS)
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// Where `/proc` cannot be read.
    pub fn rss_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next())
            .and_then(|kib| kib.parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| ErrorKind::InvalidData.into())
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// `TimedOut`, or `BrokenPipe` where it ended instead.
    pub fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> Result<()> {
        for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
            if ready() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let text = format!("the server ended by itself: {status}");
                return Err(Error::new(ErrorKind::BrokenPipe, text));
            }
            std::thread::sleep(LOOK);
        }
        Err(ErrorKind::TimedOut.into())
    }

    /// Ends it with SIGTERM and waits.
    ///
    /// # Errors
    /// `TimedOut`; it is then killed.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        Err(ErrorKind::TimedOut.into())
    }

    /// Ends it with SIGKILL, as a crash would.
    ///
    /// # Errors
    /// Those of the system.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or(ErrorKind::NotFound)?, signal)?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // A master is told to end its workers first.
            let _ = self.signal(Signal::TERM);
            std::thread::sleep(LOOK * 10);
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Parent and ticks of a process.
fn stat(pid: u32) -> Result<(u32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold anything, but it ends at the last parenthesis.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |at: usize| rest.split_whitespace().nth(at)?.parse::<u64>().ok();
    let parsed = (|| Some((u32::try_from(field(1)?).ok()?, field(11)? + field(12)?)))();
    parsed.ok_or_else(|| ErrorKind::InvalidData.into())
}

/// A free port on loopback.
///
/// # Errors
/// Those of the system.
pub fn free_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_measured_and_ended() {
        let log = std::env::temp_dir().join(format!("tidegate-bench-{}", std::process::id()));
        let spin = [
            "-c",
            "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; sleep 60",
        ];
        let mut server = Server::start(Path::new("/bin/sh"), &spin, &log).unwrap();
        let pid = server.pid();
        server
            .wait_until(|| stat(pid).is_ok_and(|(_, ticks)| ticks > 0))
            .unwrap();
        assert!(server.cpu_seconds().unwrap() > 0.0);
        assert!(server.rss_bytes().unwrap() > 0);
        server.stop().unwrap();
        assert!(stat(pid).is_err());
        fs::remove_file(log).unwrap();
    }
}
