//! Token buckets (GCRA, by governor): requests a second of one client address, events a second of
//! one source. Both hold a burst of one second. Off where no rate is set.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, MonotonicClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};

use super::AddressKey;

/// Addresses remembered before those with a full bucket are looked for and forgotten; looked for
/// again only once there are twice as many as stayed. 16 bytes each, some more for the map.
const ADDRESSES_MIN: u64 = 65_536;

type Instant = <MonotonicClock as governor::clock::Clock>::Instant;

/// What a client may still do: the `RateLimit-*` headers of its answer
/// (draft-ietf-httpapi-ratelimit-headers-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) struct Budget {
    /// A second's worth.
    pub(in crate::edge) limit: u32,
    /// What is left of it now.
    pub(in crate::edge) remaining: u32,
}

/// Over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} a second")]
pub(in crate::edge) struct Limited {
    /// The limit.
    pub(in crate::edge) limit: u32,
    /// Whole seconds until there is room for one, at least 1.
    pub(in crate::edge) retry_after_s: u32,
}

impl Limited {
    /// Nothing is left.
    pub(in crate::edge) const fn budget(self) -> Budget {
        Budget {
            limit: self.limit,
            remaining: 0,
        }
    }
}

/// Requests a second of one client address.
#[derive(Debug)]
pub(in crate::edge) struct AddressRate {
    buckets: Option<Buckets>,
}

type Keyed = RateLimiter<
    AddressKey,
    DashMapStateStore<AddressKey>,
    MonotonicClock,
    StateInformationMiddleware,
>;

#[derive(Debug)]
struct Buckets {
    limit: NonZeroU32,
    keyed: Keyed,
    /// Requests until the next look for addresses to forget.
    until_cleaning: AtomicU64,
}

impl AddressRate {
    pub(in crate::edge) fn new(per_second: Option<NonZeroU32>) -> Self {
        Self::with_burst(per_second, 1)
    }

    /// A burst of what comes in `burst_s` seconds.
    pub(in crate::edge) fn with_burst(per_second: Option<NonZeroU32>, burst_s: u32) -> Self {
        let buckets = per_second.map(|limit| Buckets {
            limit,
            keyed: RateLimiter::dashmap_with_clock(quota(limit, burst_s), MonotonicClock)
                .with_middleware(),
            until_cleaning: AtomicU64::new(ADDRESSES_MIN),
        });
        Self { buckets }
    }

    /// Requests a second.
    pub(in crate::edge) fn limit(&self) -> Option<NonZeroU32> {
        self.buckets.as_ref().map(|buckets| buckets.limit)
    }

    /// Takes one request of `address`; None where there is no limit.
    ///
    /// # Errors
    /// [`Limited`]
    pub(in crate::edge) fn take(&self, address: IpAddr) -> Result<Option<Budget>, Limited> {
        let Some(buckets) = &self.buckets else {
            return Ok(None);
        };
        buckets.clean();
        match buckets.keyed.check_key(&address.into()) {
            Ok(state) => Ok(Some(budget(buckets.limit, &state))),
            Err(until) => Err(limited(buckets.limit, &until)),
        }
    }

    /// Addresses remembered.
    pub(in crate::edge) fn addresses(&self) -> usize {
        self.buckets.as_ref().map_or(0, |b| b.keyed.len())
    }
}

impl Buckets {
    /// Each request brings at most one address: so many requests from now the map has at most
    /// doubled.
    fn clean(&self) {
        if self.until_cleaning.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.keyed.retain_recent();
            let kept = u64::try_from(self.keyed.len()).unwrap_or(u64::MAX);
            self.until_cleaning
                .store(kept.max(ADDRESSES_MIN), Ordering::Relaxed);
        }
    }
}

/// Events a second of one source.
#[derive(Debug)]
pub(in crate::edge) struct SourceRate {
    limit: NonZeroU32,
    bucket: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>,
}

impl SourceRate {
    /// `per_second` events, and as many at once after a second's pause.
    pub(in crate::edge) fn new(per_second: NonZeroU32) -> Self {
        Self {
            limit: per_second,
            bucket: RateLimiter::direct_with_clock(Quota::per_second(per_second), MonotonicClock)
                .with_middleware(),
        }
    }

    /// Events a second.
    pub(in crate::edge) const fn limit(&self) -> NonZeroU32 {
        self.limit
    }

    /// Takes one event.
    ///
    /// # Errors
    /// [`Limited`]
    pub(in crate::edge) fn take(&self) -> Result<Budget, Limited> {
        match self.bucket.check() {
            Ok(state) => Ok(budget(self.limit, &state)),
            Err(until) => Err(limited(self.limit, &until)),
        }
    }
}

fn quota(limit: NonZeroU32, burst_s: u32) -> Quota {
    let burst = limit.saturating_mul(NonZeroU32::new(burst_s).unwrap_or(NonZeroU32::MIN));
    Quota::per_second(limit).allow_burst(burst)
}

fn budget(limit: NonZeroU32, state: &StateSnapshot) -> Budget {
    Budget {
        limit: limit.get(),
        remaining: state.remaining_burst_capacity(),
    }
}

fn limited(limit: NonZeroU32, until: &NotUntil<Instant>) -> Limited {
    let wait: Duration = until.wait_time_from(MonotonicClock.now());
    let seconds = wait.as_millis().div_ceil(1_000).max(1);
    Limited {
        limit: limit.get(),
        retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

    fn address(last: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, last])
    }

    #[test]
    fn each_address_has_a_budget_of_its_own_and_learns_what_is_left() {
        let rate = AddressRate::new(Some(TWO));
        let left = |last| rate.take(address(last)).map(|b| b.unwrap().remaining);
        assert_eq!((left(1), left(1)), (Ok(1), Ok(0)));
        assert_eq!(left(2), Ok(1));
        let over = rate.take(address(1)).unwrap_err();
        assert_eq!((over.limit, over.retry_after_s), (2, 1));
        assert_eq!(rate.addresses(), 2);
    }

    #[test]
    fn without_a_rate_nothing_is_limited_or_remembered() {
        let rate = AddressRate::new(None);
        for _ in 0..100 {
            assert_eq!(rate.take(address(1)), Ok(None));
        }
        assert_eq!(rate.addresses(), 0);
    }

    #[test]
    fn a_source_learns_when_to_come_again() {
        let rate = SourceRate::new(TWO);
        assert!(rate.take().is_ok() && rate.take().is_ok());
        assert_eq!(rate.take().unwrap_err().retry_after_s, 1);
    }
}
