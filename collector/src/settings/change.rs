//! What differs between two settings, key by key, and which of it a running gateway can take.
//!
//! A `live` key takes effect with the next request; a `restart` key is what was opened, allocated
//! or promised at start. Reads no file and applies nothing.

use super::Settings;

/// When a changed key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On reload.
    Live,
    /// With the next start.
    Restart,
}

impl When {
    /// As the reference says it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Restart => "restart",
        }
    }
}

/// How one key changes.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The key's full path.
    pub path: &'static str,
    /// When it does.
    pub when: When,
    same: fn(&Settings, &Settings) -> bool,
    /// Takes the key's value from the second.
    take: fn(&mut Settings, &Settings),
}

/// The keys that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that take effect now.
    pub live: Vec<&'static str>,
    /// Those that wait for a restart.
    pub restart: Vec<&'static str>,
}

/// What differs between the settings in force and those just read.
#[must_use]
pub fn between(in_force: &Settings, read: &Settings) -> Changes {
    let mut changes = Changes::default();
    for change in CHANGES.iter().filter(|one| !(one.same)(in_force, read)) {
        match change.when {
            When::Live => changes.live.push(change.path),
            When::Restart => changes.restart.push(change.path),
        }
    }
    changes
}

/// The settings in force with every live key taken from those just read.
#[must_use]
pub fn merged(in_force: &Settings, read: &Settings) -> Settings {
    let mut merged = in_force.clone();
    for change in CHANGES.iter().filter(|one| one.when == When::Live) {
        (change.take)(&mut merged, read);
    }
    merged
}

/// When a change of this key takes effect; None for a key that does not exist.
#[must_use]
pub fn when(path: &str) -> Option<When> {
    let change = CHANGES.iter().find(|one| one.path == path)?;
    Some(change.when)
}

macro_rules! key {
    ($when:ident $path:literal $($field:ident).+) => {
        Change {
            path: $path,
            when: When::$when,
            same: |one, other| one.$($field).+ == other.$($field).+,
            take: |into, from| into.$($field).+.clone_from(&from.$($field).+),
        }
    };
}

macro_rules! kafka {
    ($path:literal $field:ident) => {
        Change {
            path: $path,
            when: When::Restart,
            same: |one, other| {
                let (one, other) = (one.kafka.as_ref(), other.kafka.as_ref());
                one.map(|kafka| &kafka.$field) == other.map(|kafka| &kafka.$field)
            },
            take: |into, from| into.kafka.clone_from(&from.kafka),
        }
    };
}

macro_rules! admin_tls {
    ($path:literal $field:ident) => {
        Change {
            path: $path,
            when: When::Restart,
            same: |one, other| {
                let (one, other) = (one.admin.tls.as_ref(), other.admin.tls.as_ref());
                one.map(|tls| &tls.$field) == other.map(|tls| &tls.$field)
            },
            take: |into, from| into.admin.tls.clone_from(&from.admin.tls),
        }
    };
}

/// Every key, in the order of [`super::keys::KEYS`]; a test holds the two lists together.
#[rustfmt::skip]
pub const CHANGES: &[Change] = &[
    key!(Restart "data_dir" data_dir),
    key!(Live "catalog" catalog),
    key!(Restart "journal.disk_budget" journal.disk_budget),
    key!(Restart "journal.retention" journal.retention_ms),
    key!(Restart "journal.segment_bytes" journal.segment_bytes),
    key!(Restart "edge.http" edge.http),
    key!(Restart "edge.https" edge.https),
    key!(Restart "edge.http3" edge.http3),
    key!(Live "edge.alt_svc_max_age" edge.alt_svc_max_age_ms),
    key!(Live "edge.alt_svc_port" edge.alt_svc_port),
    key!(Restart "edge.proxy_protocol" edge.proxy_protocol),
    key!(Live "edge.trusted_proxies" edge.trusted_proxies),
    key!(Live "edge.client_ip_header" edge.client_ip_header),
    key!(Restart "edge.ack" edge.ack),
    key!(Restart "edge.ack_timeout" edge.ack_timeout_ms),
    key!(Live "edge.path_prefix" edge.path_prefix),
    key!(Live "edge.body_bytes_max" edge.body_bytes_max),
    key!(Live "edge.body_timeout" edge.body_timeout_ms),
    key!(Live "edge.event_bytes_max" edge.event_bytes_max),
    key!(Live "edge.batch_events_max" edge.batch_events_max),
    key!(Live "edge.members_max" edge.members_max),
    key!(Live "edge.lent_bytes_max" edge.lent_bytes_max),
    key!(Restart "edge.header_bytes_max" edge.header_bytes_max),
    key!(Restart "edge.headers_max" edge.headers_max),
    key!(Restart "edge.header_timeout" edge.header_timeout_ms),
    key!(Restart "edge.idle_timeout" edge.idle_timeout_ms),
    key!(Restart "edge.requests_per_connection_max" edge.requests_per_connection_max),
    key!(Restart "edge.connections_max" edge.connections_max),
    key!(Restart "edge.connections_per_address_max" edge.connections_per_address_max),
    key!(Live "edge.address_rate_limit" edge.address_rate_limit),
    key!(Live "edge.address_event_rate" edge.address_event_rate),
    key!(Live "edge.bodies_per_address_max" edge.bodies_per_address_max),
    key!(Live "edge.in_flight_max" edge.in_flight_max),
    key!(Live "edge.buffered_bytes_max" edge.buffered_bytes_max),
    key!(Restart "edge.read_delay_target" edge.read_delay_target_ms),
    key!(Restart "edge.read_delay_max" edge.read_delay_max_ms),
    key!(Restart "edge.delay_max" edge.delay_max_ms),
    key!(Restart "edge.h2_streams_max" edge.h2_streams_max),
    key!(Restart "edge.h2_resets_max" edge.h2_resets_max),
    key!(Restart "edge.h3_streams_max" edge.h3.streams_max),
    key!(Restart "edge.h3_idle_timeout" edge.h3.idle_timeout_ms),
    key!(Restart "edge.h3_receive_window" edge.h3.receive_window_bytes),
    key!(Restart "edge.h3_retry_handshakes" edge.h3.retry_handshakes),
    Change {
        path: "edge.tls.cert",
        when: When::Restart,
        same: |one, other| {
            let (one, other) = (one.edge.tls.pair.as_ref(), other.edge.tls.pair.as_ref());
            one.map(|pair| &pair.cert) == other.map(|pair| &pair.cert)
        },
        take: |into, from| into.edge.tls.pair.clone_from(&from.edge.tls.pair),
    },
    Change {
        path: "edge.tls.key",
        when: When::Restart,
        same: |one, other| {
            let (one, other) = (one.edge.tls.pair.as_ref(), other.edge.tls.pair.as_ref());
            one.map(|pair| &pair.key) == other.map(|pair| &pair.key)
        },
        take: |into, from| into.edge.tls.pair.clone_from(&from.edge.tls.pair),
    },
    key!(Restart "edge.tls.certificates" edge.tls.certificates),
    key!(Restart "edge.tls.handshake_timeout" edge.tls.handshake_timeout_ms),
    key!(Restart "edge.tls.reload_interval" edge.tls.reload_interval_ms),
    key!(Restart "edge.tls.acme.domains" edge.tls.acme.domains),
    key!(Restart "edge.tls.acme.contact" edge.tls.acme.contact),
    key!(Restart "edge.tls.acme.directory" edge.tls.acme.directory),
    key!(Restart "edge.tls.acme.terms_agreed" edge.tls.acme.terms_agreed),
    key!(Restart "edge.tls.acme.root" edge.tls.acme.root),
    key!(Live "edge.paths.tag" edge.paths.tag),
    key!(Live "edge.paths.events" edge.paths.events),
    key!(Live "edge.paths.pixel" edge.paths.pixel),
    key!(Live "edge.paths.segments" edge.paths.segments),
    key!(Live "cookie.name" cookie.name),
    key!(Live "cookie.domain" cookie.domain),
    key!(Live "cookie.lifetime" cookie.lifetime_ms),
    key!(Live "identity.placeholders" identity.placeholders),
    key!(Restart "admin.listen" admin.listen),
    key!(Restart "admin.token_file" admin.token_file),
    key!(Restart "admin.body_bytes_max" admin.body_bytes_max),
    key!(Restart "admin.connections_max" admin.connections_max),
    key!(Restart "admin.timeout" admin.timeout_ms),
    admin_tls!("admin.tls.cert" cert),
    admin_tls!("admin.tls.key" key),
    admin_tls!("admin.tls.client_ca" client_ca),
    kafka!("kafka.brokers" brokers),
    kafka!("kafka.topic" topic),
    kafka!("kafka.transitions_topic" transitions_topic),
    kafka!("kafka.in_flight_max" in_flight_max),
    kafka!("kafka.dead_letters_max" dead_letters_max),
    kafka!("kafka.properties" properties),
    key!(Live "geoip.city" geoip.city),
    key!(Live "geoip.asn" geoip.asn),
    key!(Restart "activation.allow_private" activation.allow_private),
    key!(Restart "activation.outbox_rows_max" activation.outbox_rows_max),
    key!(Restart "activation.destination_rows_max" activation.destination_rows_max),
    key!(Restart "activation.dead_letters_max" activation.dead_letters_max),
    key!(Restart "activation.dead_letters_max_age" activation.dead_letters_max_age_ms),
    key!(Restart "dedup.window" dedup.window_ms),
    key!(Restart "dedup.entries_max" dedup.entries_max),
    key!(Restart "profiles.live_max" profiles.live_max),
    key!(Restart "profiles.traits_bytes_max" profiles.traits_bytes_max),
    key!(Restart "profiles.identifiers_max" profiles.identifiers_max),
    key!(Restart "profiles.merges_per_hour_max" profiles.merges_per_hour_max),
    key!(Live "profiles.new_per_address_rate" profiles.new_per_address_rate),
    key!(Restart "profiles.retention" profiles.retention_ms),
    key!(Restart "profiles.disk_max" profiles.disk_max),
    key!(Restart "checkpoint.lag_records" checkpoint.lag_records),
    key!(Live "timers.rate_max" timers.rate_max),
    key!(Restart "bad_rows.bytes_max" bad_rows.bytes_max),
    key!(Restart "bad_rows.retention" bad_rows.retention_ms),
    key!(Restart "liveness.cursor_stalled" liveness.cursor_stalled_ms),
    key!(Restart "liveness.durable_lag_max" liveness.durable_lag_max_ms),
    key!(Live "reload.watch_interval" reload.watch_interval_ms),
    key!(Live "drain.readiness_delay" drain.readiness_delay_ms),
    key!(Live "drain.deadline" drain.deadline_ms),
    key!(Live "drain.hand_over" drain.hand_over_ms),
    key!(Restart "telemetry.log_format" telemetry.log_format),
    key!(Restart "telemetry.log_repeats_max" telemetry.log_repeats_max),
    key!(Restart "telemetry.outcomes_max" telemetry.outcomes_max),
    key!(Live "telemetry.outcomes_sample" telemetry.outcomes_sample),
    key!(Restart "telemetry.otlp.endpoint" telemetry.otlp.endpoint),
    key!(Restart "telemetry.otlp.sample" telemetry.otlp.sample),
    key!(Restart "telemetry.otlp.queue_max" telemetry.otlp.queue_max),
    key!(Restart "telemetry.otlp.timeout" telemetry.otlp.timeout_ms),
];
