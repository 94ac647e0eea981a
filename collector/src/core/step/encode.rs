//! The records themselves: their heads, whom they name, and their bytes.

use std::borrow::Cow;

use tidegate_event::record::{EventFold, Fold, Namespace, Record};
use tidegate_event::{Enriched, Identity, Timestamp, VisitorId};
use tidegate_journal::Ticket;

use super::Step;
use crate::pipeline::record_json;
use crate::profile::live::Live;
use crate::profile::{Profile, fold};

impl<'a> Step<'a> {
    pub(super) fn head<'r>(
        &self,
        ticket: &Ticket,
        hit: &'r Enriched<'_>,
        message_id: &'r str,
        fold: Fold<'r>,
    ) -> Record<'r>
    where
        'a: 'r,
    {
        let ids = match &hit.identity {
            Identity::Known(ids) => (ids.anonymous_id.as_deref(), ids.user_id.as_deref()),
            Identity::Anonymous => (None, None),
        };
        Record {
            generation: self.rules.generation,
            decided_at: ticket.decided_at(),
            profile: None,
            anonymous_id: ids.0,
            user_id: ids.1,
            source: self.source,
            kind: hit.hit.kind.as_str(),
            event: &hit.hit.name,
            message_id,
            event_time: hit.event_time,
            purposes: hit.consent.purposes,
            transitions: Vec::new(),
            fold,
        }
    }

    pub(super) fn fill_event(
        &self,
        ticket: Ticket,
        record: &Record<'_>,
        hit: &Enriched<'_>,
        late: bool,
    ) -> u64 {
        let offset = ticket.offset();
        let sent =
            hit.hit.context.raw.len() + hit.hit.properties.raw.len() + hit.hit.traits.raw.len();
        let payload = record
            .write(Vec::with_capacity(1_024 + sent), |out| {
                record_json::write_event(out, record, hit, late);
            })
            .expect("a head is smaller than 4 GiB: its parts were bounded when it was reserved");
        if let Fold::Event(EventFold {
            dedup: Some(key), ..
        }) = record.fold
        {
            self.state.dedup.remember(key, offset, true);
        }
        ticket.fill(payload);
        offset
    }

    /// A record of our own about a locked person, without names and with nothing decided.
    pub(super) fn system<'r>(
        &self,
        live: &Live,
        ticket: &Ticket,
        event: &'static str,
        at: Timestamp,
        fold: Fold<'r>,
    ) -> Record<'r>
    where
        'a: 'r,
    {
        Record {
            generation: self.rules.generation,
            decided_at: ticket.decided_at(),
            profile: Some(live.profile.id),
            anonymous_id: None,
            user_id: None,
            source: self.source,
            kind: "system",
            event,
            message_id: "",
            event_time: at,
            purposes: live.profile.purposes,
            transitions: Vec::new(),
            fold,
        }
    }

    /// Folds a complete record of our own, and fills it.
    pub(super) fn write(&self, live: &mut Live, ticket: Ticket, record: Record<'_>) {
        fold::record(&mut live.profile, None, &record, ticket.offset());
        self.fill_system(live, ticket, record);
    }

    /// Names whom a record of our own that was folded is about, and fills it.
    pub(super) fn fill_system(&self, live: &mut Live, ticket: Ticket, record: Record<'_>) {
        self.state.schedule.add(live);
        let message_id = self.state.writer.message_id();
        let visitor = match &record.fold {
            Fold::SessionStart(session) => Some(session.visitor),
            Fold::DeviceStart(start) => Some(start.session.visitor),
            Fold::SessionMerged(merged) => Some(merged.into.visitor),
            Fold::SessionContinued(continued) => Some(continued.session.visitor),
            Fold::SessionEnd(end) => Some(end.session.visitor),
            _ => None,
        };
        let anonymous_id = self.anonymous_id(&live.profile, visitor);
        let sender = self.sender.filter(|_| self.names_user);
        let named = sender.and_then(|ids| ids.user_id.as_deref());
        let user_id = live.profile.user_id().or(named.map(Cow::Borrowed));
        let record = Record {
            anonymous_id: anonymous_id.as_deref(),
            user_id: user_id.as_deref(),
            message_id: &message_id,
            ..record
        };
        let payload = record
            .write(Vec::with_capacity(512), |out| {
                record_json::write_system(out, &record);
            })
            .expect("a head is smaller than 4 GiB: its parts were bounded when it was reserved");
        ticket.fill(payload);
    }

    /// What the client calls `visitor`, or where it is about none, the profile's newest device. The
    /// hit that opens a session is not folded yet, so its own word is looked at as well.
    fn anonymous_id<'n>(
        &'n self,
        profile: &'n Profile,
        visitor: Option<VisitorId>,
    ) -> Option<Cow<'n, str>> {
        let named = self.sender.and_then(|ids| ids.anonymous_id.as_deref());
        let newest = || profile.anonymous_id().or(named.map(Cow::Borrowed));
        let Some(visitor) = visitor else {
            return newest();
        };
        if let Some(named) = named.filter(|named| VisitorId::of(named) == visitor) {
            return Some(Cow::Borrowed(named));
        }
        let devices = profile.identifiers.iter();
        let mut devices = devices.filter(|own| own.namespace == Namespace::AnonymousId);
        let own = devices.find(|own| VisitorId::of(&own.value) == visitor);
        own.map(|own| own.value).or_else(newest)
    }
}
