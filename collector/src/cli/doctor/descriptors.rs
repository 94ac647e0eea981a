//! Whether the limit on open files leaves room for the connections that the settings allow.

use super::finding::Finding;
use crate::app::OpenFiles;
use crate::settings::Settings;

const CHECK: &str = "open files";

/// Looks at what a gateway may have that is started as this process was.
pub fn limit(settings: &Settings) -> Finding {
    judge(OpenFiles::allowed(), settings)
}

/// Says whether `allowed` is enough for the connections that the settings want.
pub fn judge(allowed: OpenFiles, settings: &Settings) -> Finding {
    let need = OpenFiles::wanted(settings);
    let found = format!("{allowed} allowed here, {need} wanted by the connections_max settings");
    let next = format!(
        "raise the service's limit (systemd: LimitNOFILE={need}; shell: ulimit -Hn {need}), or \
         lower edge.connections_max"
    );
    match allowed.connections(settings) {
        Some(held) if held < settings.edge.connections_max => Finding::warn(
            CHECK,
            format!("{found}: the edge takes {held} connections, further ones wait"),
            next,
        ),
        Some(_) => Finding::ok(CHECK, found),
        None => Finding::fail(
            CHECK,
            format!("{found}: too few for the gateway's own files"),
            next,
        ),
    }
}
