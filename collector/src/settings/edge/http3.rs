//! `edge.h3_*`: limits of HTTP/3 alone.

use crate::settings::declare::When::Restart;
use crate::settings::declare::{key, section};
use crate::settings::kind::{KIB, MIB, MINUTE, SECOND, duration, number, size};

section! {
    /// Limits of HTTP/3.
    pub struct Http3 {
        /// Concurrent requests of one HTTP/3 connection.
        streams_max: u32 = 128 => key("edge.h3_streams_max", Restart, number(1..=10_000)),

        /// An HTTP/3 connection without a request is closed after this time.
        idle_timeout_ms: u64 = 30 * SECOND
            => key("edge.h3_idle_timeout", Restart, duration(100..=10 * MINUTE)),

        /// Bytes that a client may send on one HTTP/3 connection before they are read.
        receive_window_bytes: u32 = 1 << 20
            => key("edge.h3_receive_window", Restart, size(64 * KIB..=64 * MIB)),

        /// From this number of HTTP/3 handshakes in progress on, a new client must prove its
        /// address first (Retry). 0 asks every client.
        retry_handshakes: usize = 256
            => key("edge.h3_retry_handshakes", Restart, number(0..=65_536)),
    }
}
