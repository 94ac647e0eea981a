//! Two profiles become one: what the winner is in because the loser was, decided once.

use tidegate_event::record::{Fold, ProfileMerged, TransitionRef};
use tidegate_event::{Change, Timestamp};

use super::Step;
use crate::decide::Moment;
use crate::profile::live::Live;
use crate::profile::{Profile, fold, merge};

impl<'a> Step<'a> {
    /// `profile_merged`: the loser's state goes into the winner, which is evaluated once.
    pub(in crate::core) fn merge(&mut self, winner: &mut Live, loser: &mut Live, at: Timestamp) {
        let ticket = self.ticket(winner);
        self.state.behind.touch(loser, ticket.offset());
        let (id, decided_at, offset) = (winner.profile.id, ticket.decided_at(), ticket.offset());
        let fold = Fold::ProfileMerged(ProfileMerged {
            winner: id,
            loser: loser.profile.id,
            wake_up: None,
        });
        let mut record = self.system(winner, &ticket, "profile_merged", at, fold);
        let received = fold::received(&mut winner.profile, Some(&loser.profile), &record);
        merge::retire(&mut loser.profile, id, offset);
        for identifier in loser.profile.identifiers.iter() {
            let profiles = &self.state.profiles;
            profiles.point(profiles.key(identifier.namespace, &identifier.value), id);
        }
        let (inherited, exits) = self.memberships(received.profile(), &loser.profile);
        // The verdicts turn what it is in once it has inherited.
        let mut memberships = received.profile().memberships.clone();
        for transition in &inherited {
            memberships.apply(transition.id, transition.change, transition.epoch);
        }
        let decided = self.evaluation().decide(Moment {
            memberships: &memberships,
            ..Moment::of(received.profile(), decided_at)
        });
        let transitions = net(&inherited, &decided.transitions, exits);
        record.decide(transitions, decided.wake_up);
        received.decided(&record, offset);
        self.state.metrics.merges.inc();
        self.fill_system(winner, ticket, record);
    }

    /// What the winner is in because the loser was, and the loser's exits.
    fn memberships(
        &self,
        winner: &Profile,
        loser: &Profile,
    ) -> (Vec<TransitionRef<'a>>, Vec<TransitionRef<'a>>) {
        let (mut inherited, mut exits) = (Vec::new(), Vec::new());
        let rules = self.rules;
        let mut take = |segment, transition: &dyn Fn(Change, u32) -> TransitionRef<'a>| {
            let theirs = loser.memberships.get(segment);
            if !theirs.member {
                return;
            }
            let mut exit = transition(Change::Exit, theirs.epoch.saturating_add(1));
            exit.reason = Some("merged");
            exit.profile = Some(loser.id);
            exits.push(exit);
            let own = winner.memberships.get(segment);
            if !own.member {
                let epoch = own.epoch.max(theirs.epoch).saturating_add(1);
                inherited.push(transition(Change::Enter, epoch));
            }
        };
        for segment in rules.segments.iter() {
            take(segment.id, &|change, epoch| {
                segment.transition(change, epoch)
            });
        }
        // Disabled segments keep their members, but a profile that is merged away keeps nothing.
        for segment in rules.segments.disabled() {
            take(segment.id, &|change, epoch| {
                segment.transition(change, epoch)
            });
        }
        (inherited, exits)
    }
}

/// At most one transition a segment: what was inherited and at once decided away did not happen.
/// The loser's exits come last.
fn net<'r>(
    inherited: &[TransitionRef<'r>],
    decided: &[TransitionRef<'r>],
    exits: Vec<TransitionRef<'r>>,
) -> Vec<TransitionRef<'r>> {
    let same = |a: &TransitionRef<'_>, b: &TransitionRef<'_>| a.id == b.id;
    let stays = |one: &&TransitionRef<'r>, others: &[TransitionRef<'r>]| {
        !others.iter().any(|other| same(one, other))
    };
    let mut transitions: Vec<_> = inherited
        .iter()
        .filter(|t| stays(t, decided))
        .copied()
        .collect();
    transitions.extend(decided.iter().filter(|t| stays(t, inherited)).copied());
    transitions.extend(exits);
    transitions
}
