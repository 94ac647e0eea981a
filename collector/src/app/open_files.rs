//! How many files this process may have open, and how many of them connections may be. Each
//! connection is one: were there as many as the system allows, the journal could not open its next
//! segment, nor the store its tables.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Settings;

/// What the gateway keeps for itself, at most half of what it may have: segments and who reads
/// them, the tables of the store, Kafka, destinations.
const OWN_MAX: u64 = 1_024;

/// Requests to destinations in flight together, at most; each has a connection.
const IN_FLIGHT_MAX: usize = 16_384;
/// Hosts of destinations that each keep their share of connections while nothing is sent.
const IDLE_HOSTS: usize = 32;
/// Connections that one of them keeps, at most.
const IDLE_MAX: usize = 64;

/// A limit on open files. By default there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFiles {
    limit: Option<u64>,
}

impl OpenFiles {
    /// A limit of so many; None: no limit.
    #[must_use]
    pub const fn of(limit: Option<u64>) -> Self {
        Self { limit }
    }

    /// What a gateway that this user starts here may have open: the hard limit.
    #[must_use]
    pub fn allowed() -> Self {
        Self::of(getrlimit(Resource::Nofile).maximum)
    }

    /// Raises this process's limit as far as the system lets it, and gives what is in force.
    #[must_use]
    pub fn raised() -> Self {
        let before = getrlimit(Resource::Nofile);
        if before.current == before.maximum {
            return Self::of(before.current);
        }
        let most = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        let (from, to) = (before.current, before.maximum);
        match setrlimit(Resource::Nofile, most).map_err(io::Error::from) {
            Ok(()) => {
                tracing::info!(from, to, "raised the limit of open files");
                Self::of(to)
            }
            Err(error) => {
                tracing::warn!(%error, limit = from, "cannot raise the limit of open files");
                Self::of(from)
            }
        }
    }

    /// How many files these settings may make use of.
    #[must_use]
    pub const fn wanted(settings: &Settings) -> u64 {
        let admin = settings.admin.connections_max as u64;
        (settings.edge.connections_max as u64)
            .saturating_add(admin)
            .saturating_add(OWN_MAX)
    }

    /// Connections that the edge may have open: `edge.connections_max`, or fewer, so that the
    /// gateway's own files can be opened always. None where nothing is left for them.
    #[must_use]
    pub fn connections(self, settings: &Settings) -> Option<usize> {
        let most = settings.edge.connections_max;
        let Some(limit) = self.limit else {
            return Some(most);
        };
        let left = limit
            .saturating_sub(self.own())
            .saturating_sub(settings.admin.connections_max as u64);
        let held = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        (held > 0).then_some(held)
    }

    /// Requests that destinations may have in flight together: an eighth of the gateway's own files,
    /// and what its connections leave.
    #[must_use]
    pub fn destinations(self, settings: &Settings) -> usize {
        let Some(limit) = self.limit else {
            return IN_FLIGHT_MAX;
        };
        let left = limit.saturating_sub(Self::wanted(settings));
        let files = (self.own() / 8).saturating_add(left);
        usize::try_from(files).map_or(IN_FLIGHT_MAX, |files| files.clamp(1, IN_FLIGHT_MAX))
    }

    /// Connections to one destination's host that are kept while nothing is sent.
    #[must_use]
    pub fn idle(self, settings: &Settings) -> usize {
        (self.destinations(settings) / IDLE_HOSTS).clamp(1, IDLE_MAX)
    }

    /// Tables that the store may keep open.
    #[must_use]
    pub fn store(self) -> usize {
        usize::try_from(self.own() / 2).unwrap_or(usize::MAX)
    }

    fn own(self) -> u64 {
        self.limit.map_or(OWN_MAX, |limit| OWN_MAX.min(limit / 2))
    }
}

impl std::fmt::Display for OpenFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.limit {
            Some(limit) => limit.fmt(f),
            None => f.write_str("unlimited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_never_take_the_files_that_the_gateway_itself_needs() {
        let settings = Settings::default();
        let most = settings.edge.connections_max;
        let admin = settings.admin.connections_max;
        let wanted = OpenFiles::wanted(&settings);
        for (limit, expected) in [
            (None, Some(most)),
            (Some(wanted), Some(most)),
            (Some(wanted - 1), Some(most - 1)),
            (Some(1_024), Some(512 - admin)),
            (Some(256), Some(128 - admin)),
            (Some(64), None),
        ] {
            let files = OpenFiles::of(limit);
            assert_eq!(files.connections(&settings), expected, "{limit:?}");
            assert!(files.store() >= 32 || expected.is_none(), "{limit:?}");
        }
    }

    #[test]
    fn destinations_have_what_is_left_and_never_much_of_the_gateways_own() {
        let settings = Settings::default();
        let wanted = OpenFiles::wanted(&settings);
        for (limit, in_flight, idle) in [
            (None, 16_384, 64),
            (Some(wanted + 100_000), 16_384, 64),
            (Some(wanted + 1_000), 1_128, 35),
            (Some(wanted), 128, 4),
            (Some(1_024), 64, 2),
            (Some(256), 16, 1),
        ] {
            let files = OpenFiles::of(limit);
            let found = (files.destinations(&settings), files.idle(&settings));
            assert_eq!(found, (in_flight, idle), "{limit:?}");
        }
    }
}
