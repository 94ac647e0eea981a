//! When to order: pure. A certificate is renewed when two thirds of its time are over, as Let's
//! Encrypt advises; after a failure the waits grow as it asks: a minute, ten, a hundred, a day.

const MINUTE_MS: i64 = 60_000;

/// The waits after the first failure in a row, the second and so on; the last one stays.
const WAITS_MS: [i64; 4] = [
    MINUTE_MS,
    10 * MINUTE_MS,
    100 * MINUTE_MS,
    24 * 60 * MINUTE_MS,
];
/// No authority is waited for longer.
const ASKED_MAX_MS: i64 = 7 * 24 * 60 * MINUTE_MS;
/// A wait may be longer by this share, so that many gateways do not come at once.
const WAIT_SPREAD: f64 = 0.1;
/// And a renewal earlier by this share of the certificate's time.
const RENEWAL_SPREAD: f64 = 0.05;

/// When a certificate is to be renewed; `jitter` from 0 to 1.
pub(super) fn renewal_ms((begins_s, ends_s): (i64, i64), jitter: f64) -> i64 {
    let length_ms = ends_s.saturating_sub(begins_s).max(0).saturating_mul(1_000);
    let early_ms = share(length_ms, RENEWAL_SPREAD * jitter);
    ends_s.saturating_mul(1_000) - length_ms / 3 - early_ms
}

/// How long to wait after so many failures in a row, and at least as long as the authority asked.
pub(super) fn wait_ms(failures: u32, asked_ms: Option<i64>, jitter: f64) -> i64 {
    let step = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let own = WAITS_MS[step.min(WAITS_MS.len() - 1)];
    let wait = own.max(asked_ms.unwrap_or(0).clamp(0, ASKED_MAX_MS));
    wait + share(wait, WAIT_SPREAD * jitter)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "years of milliseconds stay far below 2^53"
)]
fn share(ms: i64, part: f64) -> i64 {
    (ms as f64 * part) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: i64 = 86_400;

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_are_over_or_a_little_earlier() {
        for days in [90, 6] {
            let end = days * DAY_S;
            let latest = renewal_ms((0, end), 0.0);
            assert_eq!(latest, end * 1_000 * 2 / 3, "{days} days");
            let earliest = renewal_ms((0, end), 1.0);
            assert_eq!(latest - earliest, end * 50, "{days} days");
        }
        assert_eq!(renewal_ms((9, 3), 1.0), 3_000, "dates that make no sense");
    }

    #[test]
    fn waits_grow_to_a_day_and_are_never_shorter_than_asked() {
        let minutes = |failures, asked_ms| wait_ms(failures, asked_ms, 0.0) / MINUTE_MS;
        let waits = [1, 2, 3, 4, 5, u32::MAX].map(|failures| minutes(failures, None));
        assert_eq!(waits, [1, 10, 100, 1_440, 1_440, 1_440]);
        assert_eq!(minutes(1, Some(60 * MINUTE_MS)), 60);
        assert_eq!(minutes(4, Some(60 * MINUTE_MS)), 1_440);
        assert_eq!(minutes(1, Some(i64::MAX)), 7 * 1_440);
        assert_eq!(minutes(1, Some(-1)), 1);
        assert_eq!(wait_ms(2, None, 1.0), 11 * MINUTE_MS);
    }
}
