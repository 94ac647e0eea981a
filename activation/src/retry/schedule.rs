//! When the next attempt is due: exponential with full jitter, never past the deadline.

use tidegate_event::Timestamp;

use crate::settings::RetryPolicy;

/// What happens to an item after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Try again at this time.
    At(Timestamp),
    /// The deadline would pass first.
    GiveUp,
}

/// Milliseconds to wait after `attempts` failed ones (from 1): uniform in
/// `[0, min(cap, base * 2^(attempts-1))]`. `random` is in `[0, 1)`.
#[must_use]
pub fn backoff_ms(policy: &RetryPolicy, attempts: u32, random: f64) -> u64 {
    let doublings = attempts.saturating_sub(1).min(40);
    let ceiling = policy
        .base_ms
        .saturating_mul(1 << doublings)
        .min(policy.cap_ms);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a jittered delay needs no exact millisecond"
    )]
    let delay = (ceiling as f64 * random.clamp(0.0, 1.0)) as u64;
    delay.min(ceiling)
}

/// The next step of an item queued at `queued_at` that failed `attempts` times.
#[must_use]
pub fn next_step(
    policy: &RetryPolicy,
    queued_at: Timestamp,
    attempts: u32,
    not_before: Option<Timestamp>,
    now: Timestamp,
    random: f64,
) -> Step {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let latest = now.plus_ms(signed(policy.cap_ms));
    let jittered = now.plus_ms(signed(backoff_ms(policy, attempts, random)));
    let at = not_before.map_or(jittered, |asked| jittered.max(asked.min(latest)));
    let deadline = queued_at.plus_ms(signed(policy.max_age_ms));
    if at > deadline {
        Step::GiveUp
    } else {
        Step::At(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

    fn policy(base_ms: u64, cap_ms: u64) -> RetryPolicy {
        RetryPolicy {
            base_ms,
            cap_ms,
            ..RetryPolicy::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn a_delay_is_within_its_ceiling_and_the_cap(
            base in 1u64..100_000, cap in 1u64..u64::MAX, attempts in 0u32..u32::MAX,
            random in 0.0f64..1.0,
        ) {
            let delay = backoff_ms(&policy(base, cap), attempts, random);
            prop_assert!(delay <= cap);
            if attempts <= 1 { prop_assert!(delay <= base); }
        }

        #[test]
        fn the_step_is_never_past_the_deadline_nor_before_retry_after(
            queued in 0i64..1_000_000, waited in 0i64..400_000_000, attempts in 1u32..40,
            asked in 0i64..10_000_000, random in 0.0f64..1.0,
        ) {
            let policy = RetryPolicy::default();
            let now = Timestamp(queued + waited);
            let not_before = now.plus_ms(asked);
            match next_step(&policy, Timestamp(queued), attempts, Some(not_before), now, random) {
                Step::At(at) => {
                    prop_assert!(at >= not_before);
                    prop_assert!(at.since(Timestamp(queued)) <= 3 * 86_400_000);
                }
                Step::GiveUp => prop_assert!(
                    waited + asked.max(86_400_000) >= 3 * 86_400_000
                ),
            }
        }

        #[test]
        fn the_ceiling_doubles_until_the_cap(attempts in 1u32..30) {
            let policy = policy(1_000, 86_400_000);
            let most = backoff_ms(&policy, attempts, 1.0);
            prop_assert_eq!(most, (1_000u64 << (attempts - 1)).min(86_400_000));
        }
    }

    #[test]
    fn a_retry_after_beyond_the_cap_is_cut_to_it() {
        let policy = policy(1_000, 60_000);
        let far = Some(Timestamp(i64::MAX));
        assert_eq!(
            next_step(&policy, Timestamp(0), 1, far, Timestamp(10), 0.5),
            Step::At(Timestamp(60_010))
        );
    }
}
