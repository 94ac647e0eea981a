//! Whether the limit on open files leaves room for the connections that the settings allow.

use rustix::process::{Resource, getrlimit};

use super::finding::Finding;
use crate::settings::Settings;

const CHECK: &str = "open files";
/// Files of journal and stores, and connections to Kafka and destinations.
const OWN: u64 = 1_024;

/// Looks at the limit of this process, which is the service's where it is run as the service is.
pub fn limit(settings: &Settings) -> Finding {
    let connections = settings.edge.connections_max + settings.admin.connections_max;
    judge(getrlimit(Resource::Nofile).current, connections as u64)
}

/// Says whether `limit` (None: there is none) is enough for `connections`.
pub fn judge(limit: Option<u64>, connections: u64) -> Finding {
    let need = connections + OWN;
    let Some(limit) = limit else {
        return Finding::ok(CHECK, "no limit");
    };
    let found = format!("{limit} allowed here, {need} wanted by the connections_max settings");
    let next = format!(
        "raise the service's limit (systemd: LimitNOFILE={need}; shell: ulimit -n {need}), or \
         lower edge.connections_max"
    );
    if limit < OWN {
        Finding::fail(
            CHECK,
            format!("{found}: too few for the gateway's own files"),
            next,
        )
    } else if limit < need {
        Finding::warn(
            CHECK,
            format!("{found}: beyond it new connections wait"),
            next,
        )
    } else {
        Finding::ok(CHECK, found)
    }
}
