//! What one connection may cost beside its requests: bytes that carry nothing, and bytes held of
//! frames that are incomplete.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;

use super::violation::Violation;

/// Of useless bytes. Browsers send a reserved frame now and then, and a change of priority as a frame
/// that h3 does not know.
const USELESS_BYTES: u64 = 4 << 20;
/// What each request adds to that.
const USELESS_BYTES_PER_REQUEST: u64 = 64 << 10;
/// Times the bound of one head: so much is held of all that are incomplete.
const HEADS_HELD: usize = 4;

/// Shared by the streams of one connection.
#[derive(Debug)]
pub(super) struct Allowance {
    /// Useless bytes.
    left: AtomicU64,
    held: AtomicUsize,
    held_max: usize,
    /// Of all connections.
    buffered: Gauge,
}

impl Allowance {
    pub(super) fn new(header_bytes_max: usize, buffered: Gauge) -> Self {
        Self {
            left: AtomicU64::new(USELESS_BYTES),
            held: AtomicUsize::new(0),
            held_max: header_bytes_max.saturating_mul(HEADS_HELD),
            buffered,
        }
    }

    /// One more request.
    pub(super) fn request(&self) {
        // Cannot wrap: `edge.requests_per_connection_max` ends a connection long before.
        self.left
            .fetch_add(USELESS_BYTES_PER_REQUEST, Ordering::Relaxed);
    }

    /// Takes so many useless bytes.
    ///
    /// # Errors
    /// [`Violation::Flood`]
    pub(super) fn spend(&self, bytes: u64) -> Result<(), Violation> {
        if bytes == 0 {
            return Ok(());
        }
        let left = |left: u64| left.checked_sub(bytes);
        let spent = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        spent.map_or(Err(Violation::Flood), |_| Ok(()))
    }

    /// One stream holds `now` bytes that held `before`.
    ///
    /// # Errors
    /// [`Violation::HoldsTooMuch`]
    pub(super) fn hold(&self, before: usize, now: usize) -> Result<(), Violation> {
        if now <= before {
            self.held.fetch_sub(before - now, Ordering::Relaxed);
            self.buffered.dec_by(gauged(before - now));
            return Ok(());
        }
        let more = now - before;
        self.buffered.inc_by(gauged(more));
        let held = self.held.fetch_add(more, Ordering::Relaxed) + more;
        if held > self.held_max {
            let bytes_max = self.held_max;
            return Err(Violation::HoldsTooMuch { bytes_max });
        }
        Ok(())
    }
}

fn gauged(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn useless_bytes_are_allowed_for_and_requests_add_to_them() {
        let allowance = Allowance::new(100, Gauge::default());
        assert_eq!(allowance.spend(USELESS_BYTES), Ok(()));
        assert_eq!(allowance.spend(1), Err(Violation::Flood));
        allowance.request();
        assert_eq!(allowance.spend(USELESS_BYTES_PER_REQUEST), Ok(()));
        assert_eq!(allowance.spend(1), Err(Violation::Flood));
    }

    #[test]
    fn what_is_held_is_counted_and_bounded() {
        let buffered = Gauge::default();
        let allowance = Allowance::new(100, buffered.clone());
        assert_eq!(allowance.hold(0, 300), Ok(()));
        assert_eq!(allowance.hold(0, 100), Ok(()));
        assert_eq!(buffered.get(), 400);
        assert_eq!(allowance.hold(300, 0), Ok(()));
        let bytes_max = 400;
        let too_much = Err(Violation::HoldsTooMuch { bytes_max });
        assert_eq!(allowance.hold(100, 401), too_much);
        assert_eq!(allowance.hold(401, 0), Ok(()));
        assert_eq!(buffered.get(), 0);
    }
}
