//! File descriptors: many connections need more than a shell grants. A server inherits the limit.

use std::io::{Error, ErrorKind, Result};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process has open beside its connections.
const OTHERS: u64 = 512;

/// Raises the limit for this process and those that it starts, where it is too low for so many.
///
/// # Errors
/// `PermissionDenied` where the hard limit is lower.
pub fn allow(connections: usize) -> Result<()> {
    let wanted = connections as u64 + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        let text = format!("{wanted} open files are not allowed ({error}): see `ulimit -Hn`");
        Error::new(ErrorKind::PermissionDenied, text)
    })
}
