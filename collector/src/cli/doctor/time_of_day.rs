//! Whether the wall clock is right: it dates events, ends sessions and signs callbacks.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use tidegate_event::Timestamp;

use super::finding::Finding;
use super::host::Target;
use crate::clock::Clock;

const CHECK: &str = "clock";
/// How long the reference may take to connect, and to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes read of its answer.
const ANSWER_BYTES_MAX: u64 = 16 << 10;
/// A `Date` has whole seconds, and the way there takes some time, milliseconds.
const FINE_MS: u64 = 5_000;
/// Receivers refuse callbacks signed further off than this (Standard Webhooks), milliseconds.
const REFUSED_MS: u64 = 300_000;
/// systemd-timesyncd makes it once the clock was set from a server.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// What is known about the time.
#[derive(Clone, Debug)]
pub struct Known {
    /// This machine's clock.
    pub now: Timestamp,
    /// The newest file of `data_dir` was written then.
    pub newest_file: Option<Timestamp>,
    /// A time service says that it set the clock.
    pub synchronized: bool,
    /// This machine's clock less another one's, milliseconds; Err where that one did not tell.
    pub ahead_ms: Option<Result<i64, String>>,
}

/// Compares the clock with the files of `data_dir`, the time service and the reference.
pub fn clock(
    data_dir: &Path,
    ahead_ms: Option<Result<i64, String>>,
    clock: &impl Clock,
) -> Finding {
    judge(&Known {
        now: clock.now(),
        newest_file: newest_file(data_dir),
        synchronized: Path::new(SYNCHRONIZED).exists(),
        ahead_ms,
    })
}

/// Says what that means.
pub fn judge(known: &Known) -> Finding {
    let next = "run a time service (systemd-timesyncd, chrony) before the gateway";
    let behind = known.newest_file.map_or(0, |newest| newest.0 - known.now.0);
    if behind > 2_000 {
        let found = format!(
            "it is {} s behind the newest file of data_dir: it was set back",
            behind / 1_000
        );
        return Finding::fail(CHECK, found, next);
    }
    match &known.ahead_ms {
        Some(Ok(ahead)) if ahead.unsigned_abs() > REFUSED_MS => Finding::fail(
            CHECK,
            format!(
                "{} s off from the site's: receivers refuse callbacks signed so",
                ahead / 1_000
            ),
            next,
        ),
        Some(Ok(ahead)) if ahead.unsigned_abs() > FINE_MS => Finding::warn(
            CHECK,
            format!("{} s off from the site's", ahead / 1_000),
            next,
        ),
        Some(Ok(_)) => Finding::ok(
            CHECK,
            "agrees with the site's to 5 s; times are UTC, so the time zone does not matter",
        ),
        Some(Err(why)) if !known.synchronized => Finding::unknown(
            CHECK,
            format!("the site did not tell its time: {why}"),
            next,
        ),
        Some(Err(_)) | None if known.synchronized => Finding::ok(
            CHECK,
            "set by systemd-timesyncd; whether it smears leap seconds cannot be told from here",
        ),
        Some(Err(_)) | None => Finding::unknown(
            CHECK,
            "no time service that this knows says that it set the clock",
            "compare it: chronyc tracking, timedatectl, or this with --site and --collector",
        ),
    }
}

/// Asks a web server for its time over cleartext HTTP: even a redirect to TLS carries a `Date`.
/// The answer is this machine's clock less its clock, milliseconds.
pub fn ask(site: &Target, clock: &impl Clock) -> Result<i64, String> {
    let head = read_head(site).map_err(|error| error.to_string())?;
    let their = date(&head).ok_or("no usable Date header")?;
    Ok(clock.now().0 - their.0)
}

fn read_head(site: &Target) -> io::Result<String> {
    let mut addresses = (site.name.as_str(), site.cleartext_port).to_socket_addrs()?;
    let address = addresses.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!(
        "HEAD / HTTP/1.1\r\nHost: {}\r\nUser-Agent: tidegate-doctor\r\nConnection: close\r\n\r\n",
        site.name
    );
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// When an answer was made: its `Date`, and the `Age` that a cache added (RFC 9111, section 5.1).
pub fn date(head: &str) -> Option<Timestamp> {
    let header = |name: &str| {
        let mut lines = head.lines().skip(1).map_while(|line| line.split_once(':'));
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let date = httpdate::parse_http_date(header("date")?).ok()?;
    let age: u64 = header("age").and_then(|age| age.parse().ok()).unwrap_or(0);
    milliseconds(date + Duration::from_secs(age.min(86_400)))
}

fn newest_file(folder: &Path) -> Option<Timestamp> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let written = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok());
    milliseconds(written.max()?)
}

fn milliseconds(time: std::time::SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(Timestamp)
}
