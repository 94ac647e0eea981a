//! What makes two copies one event.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};
use tidegate_event::Hit;

use crate::catalog::Source;

/// Hashes by the store's secret key, so that no sender can foresee a key.
pub(super) struct DedupKeys(pub(super) [u8; 16]);

impl DedupKeys {
    /// What makes two copies one event: the client's message id; without it, everything that
    /// names the event, where the client dated it.
    pub(super) fn of(&self, source: &Source, hit: &Hit<'_>) -> Option<u128> {
        fn part(hasher: &mut SipHasher13, text: &str) {
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
        }
        let mut hasher = SipHasher13::new_with_key(&self.0);
        part(&mut hasher, &source.name);
        if let Some(id) = &hit.message_id {
            part(&mut hasher, "id");
            part(&mut hasher, id);
        } else {
            let timestamp = hit.timestamp_as_sent.as_deref()?;
            part(&mut hasher, "as sent");
            hit.ids.hash_to(&mut hasher);
            part(&mut hasher, hit.kind.as_str());
            part(&mut hasher, &hit.name);
            part(&mut hasher, timestamp);
            part(&mut hasher, &hit.properties.raw);
        }
        Some(hasher.finish128().as_u128())
    }
}
