//! The one entry for hits: reserve, deduplicate, lock the person, fold, decide, journal.
//!
//! Everything between taking a ticket and filling it happens under the person's lock without any
//! await. Nothing can fail there: room was reserved before anything was touched.

use std::borrow::Cow;

use tidegate_event::record::{DeviceStart, EventFold, SessionContinued, SessionRef};
use tidegate_event::{Enriched, EventType, Hit, Identity, Json, VisitorId};
use tidegate_journal::Reservation;

use super::dedup::{Claim, Seen};
use super::resolve::{Candidates, Person, Wanted};
use super::state::State;
use super::step::{EventStep, Step};
use super::{Core, Newcomers, Refused};
use crate::catalog::{Source, SourceKind};
use crate::decide::Rules;
use crate::profile::live::Live;
use crate::profile::traits;
use crate::session::{self, Assignment, Caps, LATENESS_MAX_MS, Session, assign};

/// Copies that meet an unsettled claim look again so often; a claim lasts microseconds.
const PENDING_TRIES: u32 = 10_000;

/// A hit whose record has an offset; not durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Await [`Core::durable`] for it before any 2xx.
    pub offset: u64,
    /// An earlier copy holds the offset: answer `duplicate`.
    pub duplicate: bool,
}

impl Core {
    /// Steps 5 to 7 for one hit; `newcomers` is asked where it makes a new profile.
    ///
    /// # Errors
    /// [`Refused`], with nothing touched.
    pub async fn accept(
        &self,
        source: &Source,
        hit: &Enriched<'_>,
        newcomers: &dyn Newcomers,
    ) -> Result<Accepted, Refused> {
        let Some(key) = self.dedup_key(source, &hit.hit) else {
            return self.take(source, hit, newcomers, None).map(first);
        };
        for _ in 0..PENDING_TRIES {
            match self.0.state.dedup.begin(key) {
                Seen::Before(offset) => {
                    return Ok(Accepted {
                        offset,
                        duplicate: true,
                    });
                }
                Seen::First(claim) => {
                    let offset = self.take(source, hit, newcomers, Some((key, claim)))?;
                    return Ok(first(offset));
                }
                Seen::Pending => tokio::task::yield_now().await,
            }
        }
        Err(Refused::CopyPending { retry_after_s: 1 })
    }

    /// Whether `hit` is a second copy: [`Self::accept`] will answer `duplicate` and store nothing,
    /// unless it is forgotten, or the first copy fails, in between.
    #[must_use]
    pub fn knows(&self, source: &Source, hit: &Hit<'_>) -> bool {
        let key = self.dedup_key(source, hit);
        key.is_some_and(|key| self.0.state.dedup.contains(key))
    }

    fn take(
        &self,
        source: &Source,
        hit: &Enriched<'_>,
        newcomers: &dyn Newcomers,
        claim: Option<(u128, Claim<'_>)>,
    ) -> Result<u64, Refused> {
        let rules = self.0.decider.rules();
        let state = &self.0.state;
        let reservation = state.writer.reserve_hit(hit, &rules.segments)?;
        let (key, claim) = claim.map_or((None, None), |(key, claim)| (Some(key), Some(claim)));
        let arrival = Arrival {
            state,
            source,
            hit,
            rules: &rules,
            newcomers,
            dedup: key,
        };
        let offset = match &hit.identity {
            Identity::Anonymous => arrival.anonymous(reservation),
            Identity::Known(ids) => {
                let wanted = Wanted::of(state, ids, arrival.may_have_session());
                let candidates = Candidates::load(state, &wanted)
                    .map_err(|error| state.metrics.refuse(&error))?;
                arrival.known(reservation, &wanted, candidates)?
            }
        };
        drop(claim);
        Ok(offset)
    }
}

const fn first(offset: u64) -> Accepted {
    Accepted {
        offset,
        duplicate: false,
    }
}

/// One hit on its way through the fold.
struct Arrival<'a> {
    state: &'a State,
    source: &'a Source,
    hit: &'a Enriched<'a>,
    rules: &'a Rules,
    newcomers: &'a dyn Newcomers,
    dedup: Option<u128>,
}

impl Arrival<'_> {
    fn anonymous(&self, reservation: Reservation) -> u64 {
        let mut step = Step::new(self.state, self.rules, reservation, &self.source.name);
        let message_id = self.message_id();
        let fold = EventFold {
            received_at: self.hit.received_at,
            dedup: self.dedup,
            page_view: self.page_view(),
            conversion: self.conversion(),
            ..EventFold::default()
        };
        step.anonymous(self.hit, &message_id, fold)
    }

    fn known(
        &self,
        reservation: Reservation,
        wanted: &Wanted<'_>,
        candidates: Candidates,
    ) -> Result<u64, Refused> {
        let step = Step::new(self.state, self.rules, reservation, &self.source.name);
        let mut step = step.sent_by(&self.hit.identity);
        candidates
            .with_person(self.state, wanted, self.newcomers, |person| {
                self.fold(&mut step, person)
            })
            .map_err(|why| self.state.metrics.unresolved(&why))
    }

    /// Under the locks: merges, the session, the event.
    fn fold(&self, step: &mut Step<'_>, mut person: Person<'_, '_>) -> u64 {
        for loser in &mut person.losers {
            step.merge(person.live, loser, self.hit.event_time);
        }
        let device = person.device.as_deref_mut();
        step.names_user(device.is_none());
        let owner = device.unwrap_or(&mut *person.live);
        let session = self.session(step, owner, person.new_device);
        let traits = self.traits(&person);
        self.continue_session(step, &mut person, session.assigned);
        let message_id = self.message_id();
        let fold = EventFold {
            received_at: self.hit.received_at,
            dedup: self.dedup,
            edges: person.edges.clone(),
            session: session.assigned,
            page_view: self.page_view(),
            conversion: self.conversion(),
            visible_ms: visible_ms(self.hit),
            traits: traits.as_deref(),
            ..EventFold::default()
        };
        step.event(
            person.live,
            EventStep {
                hit: self.hit,
                message_id: &message_id,
                fold,
                device: person.device.as_deref(),
                late: session.late,
            },
        )
    }

    /// The session is another profile's: it takes the event as well.
    fn continue_session(
        &self,
        step: &mut Step<'_>,
        person: &mut Person<'_, '_>,
        session: Option<SessionRef>,
    ) {
        if let (Some(device), Some(session)) = (person.device.as_deref_mut(), session) {
            let continued = SessionContinued {
                session,
                received_at: self.hit.received_at,
                page_view: self.page_view(),
                conversion: self.conversion(),
                visible_ms: visible_ms(self.hit),
            };
            step.session_continued(device, continued, self.hit.event_time);
        }
    }

    /// Ends what the session that opens leaves no place for, and first what is overdue: where timers
    /// are late, the end of the session before must not end what is decided in this one.
    fn make_room(&self, step: &mut Step<'_>, owner: &mut Live, opening: SessionRef) {
        let now = self.state.writer.now();
        let newest = owner.profile.open_session();
        let overdue = newest
            .filter(|newest| newest.due <= now)
            .map(Session::reference);
        let sessions = &owner.profile.sessions;
        if let Some(overdue) = overdue.and_then(|at| session::position(sessions, at)) {
            step.session_end(owner, overdue);
        }
        let sessions = &owner.profile.sessions;
        if let Some(surplus) = session::surplus(sessions, opening)
            && !sessions[surplus].ended
        {
            step.session_end(owner, surplus);
        }
    }

    /// Among the sessions of `owner`, the profile that the device is tied to. `device_id`: the
    /// profile is new, and the device's own.
    fn session(&self, step: &mut Step<'_>, owner: &mut Live, device_id: Option<&str>) -> SessionOf {
        let none = SessionOf {
            assigned: None,
            late: false,
        };
        let Some(visitor) = self.visitor(owner) else {
            return none;
        };
        if self.is_server_side() {
            return none;
        }
        let (at, received_at) = (self.hit.event_time, self.hit.received_at);
        let sessions = &owner.profile.sessions;
        let assigned = match assign(sessions, visitor, at, received_at, Caps::default()) {
            Assignment::Late => {
                return SessionOf {
                    assigned: None,
                    late: true,
                };
            }
            Assignment::Join(position) => sessions[position].reference(),
            Assignment::Bridge { into, from } => {
                let (into, from) = (&sessions[into], &sessions[from]);
                let revision = into.revision.saturating_add(1);
                step.session_merged(owner, into.reference(), from.reference(), revision, at)
            }
            Assignment::Open => {
                let opening = SessionRef {
                    id: self.state.writer.mint(),
                    visitor,
                    index: owner.profile.session_index(visitor).saturating_add(1),
                    gap_ms: self.source.session_gap_ms,
                };
                self.make_room(step, owner, opening);
                match device_id {
                    Some(anonymous_id) => {
                        let session = opening;
                        let start = DeviceStart {
                            session,
                            anonymous_id,
                        };
                        step.device_start(owner, start, at);
                    }
                    None => step.session_start(owner, opening, at),
                }
                opening
            }
        };
        SessionOf {
            assigned: Some(assigned),
            late: false,
        }
    }

    /// The visitor is the device: the anonymousId, whoever the event was attributed to.
    fn visitor(&self, owner: &Live) -> Option<VisitorId> {
        let Identity::Known(ids) = &self.hit.identity else {
            return None;
        };
        ids.anonymous_id
            .as_deref()
            .map(VisitorId::of)
            .filter(|_| owner.profile.alias_of.is_none())
    }

    fn is_server_side(&self) -> bool {
        self.source.kind == SourceKind::Server || self.hit.hit.server_channel
    }

    /// Unless its identifiers say otherwise.
    fn may_have_session(&self) -> bool {
        let late_ms = self.hit.received_at.since(self.hit.event_time);
        !self.is_server_side() && late_ms <= LATENESS_MAX_MS
    }

    fn page_view(&self) -> bool {
        matches!(self.hit.hit.kind, EventType::Page | EventType::Screen)
    }

    fn conversion(&self) -> bool {
        self.hit.hit.kind == EventType::Track
            && self
                .source
                .conversions
                .iter()
                .any(|name| *name == self.hit.hit.name)
    }

    /// The traits to lay over the profile's: all of them, or what of them fits. Of an event that is
    /// older than what is set only the members that are missing. A group call's are the group's, not
    /// the person's.
    fn traits(&self, person: &Person<'_, '_>) -> Option<Cow<'_, str>> {
        let traits = &self.hit.hit.traits;
        let Json::Object(members) = &traits.value else {
            return None;
        };
        if members.is_empty()
            || self.hit.hit.kind == EventType::Group
            || !self.hit.consent.purposes.profile()
        {
            return None;
        }
        let own = person.live.profile.traits.as_deref();
        let older = own.filter(|own| self.hit.event_time < own.set_at);
        let own = own.map(|own| &*own.text);
        let max = self.state.settings.traits_bytes_max;
        if older.is_none() && own.map_or(0, str::len) + traits.raw.len() <= max {
            return Some(Cow::Borrowed(&traits.raw));
        }
        let missing = older.map(|own| own.missing(members));
        let fitted = traits::fit(own, missing.as_deref().unwrap_or(members), max);
        let left_out = u64::try_from(fitted.left_out).unwrap_or(u64::MAX);
        self.state.metrics.traits_dropped.inc_by(left_out);
        (&*fitted.text != "{}").then(|| Cow::Owned(fitted.text.into()))
    }

    fn message_id(&self) -> Cow<'_, str> {
        match &self.hit.hit.message_id {
            Some(id) => Cow::Borrowed(id),
            None => Cow::Owned(self.state.writer.message_id()),
        }
    }
}

struct SessionOf {
    assigned: Option<SessionRef>,
    late: bool,
}

/// `visible_ms` of the properties, else of the context: what the tag measured.
fn visible_ms(hit: &Enriched<'_>) -> u32 {
    [&hit.hit.properties.value, &hit.hit.context.value]
        .into_iter()
        .find_map(|object| match object.get("visible_ms") {
            Some(Json::Int(ms)) => u32::try_from(*ms).ok(),
            _ => None,
        })
        .unwrap_or(0)
}
