//! `X-RateLimit-Reset` and `RateLimit-Reset`: when a rate limit starts anew. Services write seconds
//! from now, or a Unix time in seconds or milliseconds; the size tells them apart.

use tidegate_event::Timestamp;

use super::retry_after::delay_ms;

/// From here on a number is a Unix time in seconds, milliseconds from 2001 on.
const UNIX_MS: i64 = 1_000_000_000_000;

/// The point in time that a value names, where the wall clock reads `now`; None for a value that is
/// none.
#[must_use]
pub fn parse(value: &str, now: Timestamp) -> Option<Timestamp> {
    let ms = delay_ms(value)?;
    Some(match ms {
        ..UNIX_MS => now.plus_ms(ms),
        // Seconds since 1970, which the caller multiplied by 1,000 as it does with a delay.
        UNIX_MS..1_000_000_000_000_000 => Timestamp(ms),
        _ => Timestamp(ms / 1_000),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_from_now_and_unix_times_are_told_apart() {
        let now = Timestamp(1_795_355_327_974);
        for (value, at) in [
            ("30", now.0 + 30_000),
            (" 0.5 ", now.0 + 500),
            ("1795355400", 1_795_355_400_000),
            ("1795355400123", 1_795_355_400_123),
        ] {
            assert_eq!(parse(value, now), Some(Timestamp(at)), "{value}");
        }
        for bad in ["", "-1", "tomorrow", "1;w=60"] {
            assert_eq!(parse(bad, now), None, "{bad}");
        }
    }
}
