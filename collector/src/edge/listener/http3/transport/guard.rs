//! One connection as its streams see it: what it may cost, and how it is closed.

use std::sync::{Arc, OnceLock};

use h3::quic::{ConnectionErrorIncoming, StreamErrorIncoming};
use prometheus_client::metrics::gauge::Gauge;
use quinn::VarInt;

use super::allowance::Allowance;
use super::errors;
use super::violation::Violation;

/// Shared by the streams of one connection.
#[derive(Debug)]
pub(in crate::edge::listener::http3) struct Guard {
    quic: quinn::Connection,
    pub(super) header_bytes_max: usize,
    pub(super) allowance: Allowance,
    violation: OnceLock<Violation>,
}

impl Guard {
    /// `buffered` counts what is held of all connections.
    pub(in crate::edge::listener::http3) fn new(
        quic: quinn::Connection,
        header_bytes_max: usize,
        buffered: Gauge,
    ) -> Arc<Self> {
        Arc::new(Self {
            quic,
            header_bytes_max,
            allowance: Allowance::new(header_bytes_max, buffered),
            violation: OnceLock::new(),
        })
    }

    /// Why the connection was closed, where it was here.
    pub(in crate::edge::listener::http3) fn violation(&self) -> Option<Violation> {
        self.violation.get().copied()
    }

    /// Closes the connection, and what a stream of it answers from now on.
    pub(super) fn close(&self, violation: Violation) -> StreamErrorIncoming {
        errors::lost(self.end(violation))
    }

    /// As [`Self::close`], of the connection.
    pub(super) fn end(&self, violation: Violation) -> ConnectionErrorIncoming {
        let first = *self.violation.get_or_init(|| violation);
        let code = VarInt::from_u64(first.code().value()).unwrap_or(VarInt::MAX);
        // The first to close it says why.
        self.quic.close(code, first.to_string().as_bytes());
        ConnectionErrorIncoming::Undefined(Arc::new(first))
    }
}
