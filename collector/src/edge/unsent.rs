//! Answers that clients have not yet read. The answer to a batch of small refused events is many times
//! the batch's size, over HTTP/2 and HTTP/3 on every stream at once. A client that reads nothing would
//! fill the memory with them. Small answers are not counted: connections and streams bound them.

use std::net::IpAddr;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::limits::{HeldMax, LARGE_MIN, PerAddress, Place};
use super::metrics::{by_reason, gauge};

/// All of them together.
#[derive(Clone, Debug)]
pub(super) struct Unsent {
    bytes: Gauge,
    of_address: PerAddress,
    withheld: [Counter; 2],
}

/// Why an answer is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Withheld {
    /// Half of `edge.buffered_bytes_max`.
    #[error("answers that clients have not read fill the memory set aside for them")]
    NoRoom,
    /// Half of `edge.buffered_bytes_per_address_max`.
    #[error("answers that this address has not read fill the memory that one address may hold")]
    AddressNoRoom,
}

impl Withheld {
    /// The words of the metric, in the order of the variants.
    const REASONS: [&'static str; 2] = ["no_room", "address_no_room"];
}

impl Unsent {
    /// Registers its metrics at 0.
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            bytes: gauge(
                registry,
                "tidegate_edge_unsent_bytes",
                "Bytes of answers over 4 KiB that clients have not taken",
            ),
            of_address: PerAddress::default(),
            withheld: by_reason(
                registry,
                "tidegate_edge_answers_withheld",
                "Answers replaced by 503 because clients do not take those before them, by reason",
                Withheld::REASONS,
            ),
        }
    }

    /// The same answer, counted until it has been sent; small ones are not. `address` is whose it is,
    /// where that is limited.
    ///
    /// # Errors
    /// Where those that are not sent would be more than `max`; counted.
    pub(super) fn hold(
        &self,
        answer: Bytes,
        address: impl FnOnce() -> Option<IpAddr>,
        max: HeldMax,
    ) -> Result<Bytes, Withheld> {
        if answer.len() < LARGE_MIN {
            return Ok(answer);
        }
        self.hold_large(answer, address(), max)
            .inspect_err(|withheld| {
                self.withheld[*withheld as usize].inc();
            })
    }

    fn hold_large(
        &self,
        answer: Bytes,
        address: Option<IpAddr>,
        max: HeldMax,
    ) -> Result<Bytes, Withheld> {
        let mut place = address.map_or_else(Place::default, |own| self.of_address.none(own));
        if !place.take_beside_others(answer.len(), max.of_address) {
            return Err(Withheld::AddressNoRoom);
        }
        let bytes = i64::try_from(answer.len()).unwrap_or(i64::MAX);
        let before = self.bytes.inc_by(bytes);
        let counted = Counted {
            answer,
            bytes: self.bytes.clone(),
            _of_address: place,
        };
        if before.saturating_add(bytes) > i64::try_from(max.all).unwrap_or(i64::MAX) {
            return Err(Withheld::NoRoom);
        }
        Ok(Bytes::from_owner(counted))
    }
}

/// One answer; whatever sends it drops it when it is sent.
struct Counted {
    answer: Bytes,
    bytes: Gauge,
    _of_address: Place,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let bytes = i64::try_from(self.answer.len()).unwrap_or(i64::MAX);
        self.bytes.dec_by(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_answers_are_counted_until_they_are_dropped() {
        let unsent = Unsent::register(&mut Registry::default());
        let large = || Bytes::from(vec![b'x'; 10_000]);
        let max = |all| HeldMax { all, of_address: 0 };
        let first = unsent.hold(large(), || None, max(25_000)).unwrap();
        assert_eq!(first, large());
        let second = unsent.hold(large(), || None, max(25_000)).unwrap();
        let third = unsent.hold(large(), || None, max(25_000));
        assert_eq!(third, Err(Withheld::NoRoom));
        assert_eq!((unsent.bytes.get(), unsent.withheld[0].get()), (20_000, 1));
        let small = Bytes::from_static(b"small");
        assert_eq!(unsent.hold(small.clone(), || None, max(0)), Ok(small));
        let half = second.slice(5_000..);
        drop((first, second));
        assert_eq!(unsent.bytes.get(), 10_000);
        drop(half);
        assert_eq!(unsent.bytes.get(), 0);
    }

    #[test]
    fn an_address_has_its_part_of_the_answers() {
        let unsent = Unsent::register(&mut Registry::default());
        let max = HeldMax {
            all: 100_000,
            of_address: 10_000,
        };
        let hold = |last: u8| {
            let large = Bytes::from(vec![b'x'; 8_000]);
            unsent.hold(large, || Some([203, 0, 113, last].into()), max)
        };
        let first = hold(1).unwrap();
        assert_eq!(hold(1), Err(Withheld::AddressNoRoom));
        assert!(hold(2).is_ok());
        drop(first);
        assert!(hold(1).is_ok());
        assert_eq!((unsent.bytes.get(), unsent.withheld[1].get()), (0, 1));
    }
}
