//! Whose events a request brings: its protocol says where the key stands.

use std::sync::Arc;

use crate::edge::Edge;
use crate::edge::refusal::Refusal;
use crate::edge::request::RawHit;
use crate::edge::sources::Sender;
use crate::pipeline::decode::Envelope;
use crate::protocols::{Endpoint, KeyPlace, write_key};

impl<A> Edge<A> {
    /// The source of a key outside of the content; None where there is no such key.
    pub(super) fn source_by_key(
        &self,
        endpoint: &Endpoint,
        hit: &RawHit<'_>,
    ) -> Result<Option<Arc<Sender>>, Refusal> {
        match write_key(endpoint.keys, &hit.message()) {
            Some(key) => Ok(Some(self.sender_of(&key).ok_or(Refusal::Unauthorized)?)),
            None => Ok(None),
        }
    }

    /// The source found already, else that of the key in the content.
    pub(super) fn source(
        &self,
        endpoint: &Endpoint,
        keyed: Option<Arc<Sender>>,
        envelope: &Envelope<'_>,
    ) -> Result<Arc<Sender>, Refusal> {
        let in_content = || {
            let key = envelope.write_key.as_deref();
            let key = key.filter(|_| endpoint.keys.contains(&KeyPlace::Content));
            self.sender_of(key?)
        };
        keyed.or_else(in_content).ok_or(Refusal::Unauthorized)
    }

    pub(in crate::edge) fn sender_of(&self, key: &str) -> Option<Arc<Sender>> {
        self.catalog.load().sender_of(key.as_bytes()).cloned()
    }
}
