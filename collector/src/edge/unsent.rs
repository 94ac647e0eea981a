//! Answers that clients have not yet read. The answer to a batch of small refused events is many times
//! the batch's size, over HTTP/2 and HTTP/3 on every stream at once. A client that reads nothing would
//! fill the memory with them. Small answers are not counted: connections and streams bound them.

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::limits::LARGE_MIN;
use super::metrics::{counter, gauge};

/// All of them together.
#[derive(Clone, Debug)]
pub(super) struct Unsent {
    bytes: Gauge,
    withheld: Counter,
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
            withheld: counter(
                registry,
                "tidegate_edge_answers_withheld",
                "Answers replaced by 503 because clients do not take those before them",
            ),
        }
    }

    /// The same answer, counted until it has been sent. None where those that are not sent would be
    /// more than `bytes_max` together.
    pub(super) fn hold(&self, answer: Bytes, bytes_max: usize) -> Option<Bytes> {
        if answer.len() < LARGE_MIN {
            return Some(answer);
        }
        let bytes = i64::try_from(answer.len()).unwrap_or(i64::MAX);
        let before = self.bytes.inc_by(bytes);
        let counted = Counted {
            answer,
            bytes: self.bytes.clone(),
        };
        if before.saturating_add(bytes) > i64::try_from(bytes_max).unwrap_or(i64::MAX) {
            self.withheld.inc();
            return None;
        }
        Some(Bytes::from_owner(counted))
    }
}

/// One answer; whatever sends it drops it when it is sent.
struct Counted {
    answer: Bytes,
    bytes: Gauge,
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
        let first = unsent.hold(large(), 25_000).unwrap();
        assert_eq!(first, large());
        let second = unsent.hold(large(), 25_000).unwrap();
        assert!(unsent.hold(large(), 25_000).is_none());
        assert_eq!((unsent.bytes.get(), unsent.withheld.get()), (20_000, 1));
        let small = Bytes::from_static(b"small");
        assert_eq!(unsent.hold(small.clone(), 0), Some(small));
        let half = second.slice(5_000..);
        drop((first, second));
        assert_eq!(unsent.bytes.get(), 10_000);
        drop(half);
        assert_eq!(unsent.bytes.get(), 0);
    }
}
