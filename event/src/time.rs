//! Points in time and lengths of time, in milliseconds. Formats and parses; never reads a clock.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcDateTime};

/// Milliseconds since 1970-01-01T00:00:00Z. Shown as RFC 3339 with three decimals and `Z`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads RFC 3339 (any offset, up to nanoseconds; excess precision is cut).
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000))
            .ok()
            .map(Self)
    }

    /// Appends the RFC 3339 form, 24 bytes for years 0 to 9999; other years are clamped to them.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        const MIN_MS: i64 = -62_167_219_200_000;
        const MAX_MS: i64 = 253_402_300_799_999;
        let ms = self.0.clamp(MIN_MS, MAX_MS);
        let at = UtcDateTime::from_unix_timestamp(ms.div_euclid(1000)).unwrap_or(UtcDateTime::MIN);
        let (date, time) = (at.date(), at.time());
        let year = u32::try_from(date.year()).unwrap_or(0);
        let milli = u32::try_from(ms.rem_euclid(1000)).unwrap_or(0);
        digits(out, year, 4);
        out.push(b'-');
        digits(out, u32::from(u8::from(date.month())), 2);
        out.push(b'-');
        digits(out, u32::from(date.day()), 2);
        out.push(b'T');
        digits(out, u32::from(time.hour()), 2);
        out.push(b':');
        digits(out, u32::from(time.minute()), 2);
        out.push(b':');
        digits(out, u32::from(time.second()), 2);
        out.push(b'.');
        digits(out, milli, 3);
        out.push(b'Z');
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The point `ms` milliseconds later (earlier when negative), saturating.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

fn digits(out: &mut Vec<u8>, value: u32, width: u32) {
    for place in (0..width).rev() {
        let digit = value / 10u32.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(24);
        self.write_rfc3339(&mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or(""))
    }
}

/// Why a duration such as `"30m"` was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number and a unit: ms, s, m, h or d, as in \"30m\"")]
pub struct DurationError;

/// Reads `"250ms" "90s" "20m" "12h" "7d"` into milliseconds, at most 100 years.
///
/// # Errors
/// [`DurationError`] for anything else.
pub fn parse_duration_ms(text: &str) -> Result<u64, DurationError> {
    const YEARS_100_MS: u64 = 100 * 366 * 86_400_000;
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .ok_or(DurationError)?;
    let (number, unit) = text.split_at(split);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(DurationError),
    };
    let ms = number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit_ms))
        .ok_or(DurationError)?;
    if ms > YEARS_100_MS {
        Err(DurationError)
    } else {
        Ok(ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_and_parses_rfc3339_with_milliseconds() {
        let at = Timestamp::parse_rfc3339("2026-11-22T13:48:47.974Z").unwrap();
        assert_eq!(at.0, 1_795_355_327_974);
        assert_eq!(at.to_string(), "2026-11-22T13:48:47.974Z");
        let nanos = Timestamp::parse_rfc3339("2026-11-22T15:48:47.974999999+02:00").unwrap();
        assert_eq!(nanos, at);
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn durations_need_a_number_and_a_known_unit() {
        assert_eq!(parse_duration_ms("30m"), Ok(1_800_000));
        assert_eq!(parse_duration_ms("250ms"), Ok(250));
        for bad in [
            "",
            "30",
            "m",
            "1.5h",
            "-3s",
            "3w",
            "99999999999999999999d",
            "40000000d",
        ] {
            assert_eq!(parse_duration_ms(bad), Err(DurationError), "{bad}");
        }
    }
}
