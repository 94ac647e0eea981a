//! The settings of listeners and connections, which cannot change while a socket is open. A reload
//! does not change them; those that it changes are in [`super::terms`].

use std::num::NonZeroU32;

use crate::settings::{self, Http3, ProxyProtocol};

/// Fixed at start. Every field is a setting that waits for a restart.
#[derive(Clone, Debug)]
pub(super) struct Listening {
    pub(super) proxy_protocol: ProxyProtocol,
    pub(super) connections_max: usize,
    pub(super) connections_per_address_max: Option<NonZeroU32>,
    pub(super) requests_per_connection_max: u64,
    pub(super) header_bytes_max: usize,
    pub(super) headers_max: usize,
    pub(super) header_timeout_ms: u64,
    pub(super) idle_timeout_ms: u64,
    pub(super) handshake_timeout_ms: u64,
    pub(super) h2_streams_max: u32,
    pub(super) h2_resets_max: usize,
    pub(super) h3: Http3,
    /// What admission holds requests and records to.
    pub(super) read_delay_target_ms: u64,
    pub(super) read_delay_max_ms: u64,
    pub(super) delay_max_ms: u64,
}

impl Listening {
    pub(super) fn new(settings: &settings::Edge) -> Self {
        Self {
            proxy_protocol: settings.proxy_protocol,
            connections_max: settings.connections_max,
            connections_per_address_max: NonZeroU32::new(settings.connections_per_address_max),
            requests_per_connection_max: settings.requests_per_connection_max,
            header_bytes_max: settings.header_bytes_max,
            headers_max: settings.headers_max,
            header_timeout_ms: settings.header_timeout_ms,
            idle_timeout_ms: settings.idle_timeout_ms,
            handshake_timeout_ms: settings.tls.handshake_timeout_ms,
            h2_streams_max: settings.h2_streams_max,
            h2_resets_max: settings.h2_resets_max,
            h3: settings.h3.clone(),
            read_delay_target_ms: settings.read_delay_target_ms,
            read_delay_max_ms: settings.read_delay_max_ms,
            delay_max_ms: settings.delay_max_ms,
        }
    }
}
