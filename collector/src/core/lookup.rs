//! The segments of one visitor, as they are now.

use std::sync::Arc;

use tidegate_event::record::Namespace;

use super::{Core, Refused};
use crate::profile::store::StoreError;

/// Whose segments are asked for.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'a> {
    /// By cookie id or anonymousId.
    Anonymous(&'a str),
    /// By user id.
    User(&'a str),
}

/// Answer of [`Core::segments`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VisitorSegments {
    /// Names, in catalog order.
    pub segments: Vec<Arc<str>>,
    /// Offset up to which they are folded.
    pub as_of: u64,
}

impl Core {
    /// The current segments of one visitor; empty for an unknown one. What they rest on is durable
    /// when this resolves.
    ///
    /// # Errors
    /// [`Refused::Store`], [`Refused::Stopped`]
    pub async fn segments(&self, lookup: Lookup<'_>) -> Result<VisitorSegments, Refused> {
        let (namespace, id) = match lookup {
            Lookup::Anonymous(id) => (Namespace::AnonymousId, id),
            Lookup::User(id) => (Namespace::UserId, id),
        };
        let found = self
            .members(namespace, id)
            .map_err(|error| self.0.state.metrics.refuse(&error))?;
        let Some(found) = found else {
            let as_of = self.journal().durable().saturating_sub(1);
            return Ok(VisitorSegments {
                segments: Vec::new(),
                as_of,
            });
        };
        self.0.state.writer.durable(found.as_of).await?;
        Ok(found)
    }

    fn members(
        &self,
        namespace: Namespace,
        id: &str,
    ) -> Result<Option<VisitorSegments>, StoreError> {
        let profiles = &self.0.state.profiles;
        let Some(profile) = profiles.resolve(profiles.key(namespace, id), namespace, id)? else {
            return Ok(None);
        };
        let Some(shared) = profiles.canonical(profile)? else {
            return Ok(None);
        };
        let mut live = shared.lock();
        // Schedule it: the due-index scan skips profiles that are in memory.
        self.0.state.schedule.add(&mut live);
        let rules = self.0.decider.rules();
        let segments = rules
            .segments
            .iter()
            .filter(|segment| live.profile.memberships.get(segment.id).member)
            .map(|segment| Arc::clone(&segment.name))
            .collect();
        let as_of = live.profile.applied_offset.saturating_sub(1);
        Ok(Some(VisitorSegments { segments, as_of }))
    }
}
