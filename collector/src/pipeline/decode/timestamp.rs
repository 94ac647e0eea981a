//! Client times: ISO 8601 in the spellings that SDKs send, or a number since 1970. Hand-written
//! because every event has two of them, and because clients leave out what RFC 3339 requires.
//!
//! The size of a number gives its unit. In the unit of its range it lies between 1973 and 5138; in any
//! other unit it would not:
//!
//! | number | unit |
//! |---|---|
//! | below 10^11 | seconds |
//! | below 10^14 | milliseconds |
//! | below 10^17 | microseconds |
//! | from there on | nanoseconds |

use tidegate_event::{Json, Timestamp};

/// The time a JSON value names; None where it is none.
pub(super) fn read(value: &Json<'_>) -> Option<Timestamp> {
    match value {
        Json::Int(number) => Some(whole(*number)),
        Json::Float(number) => Some(fractional(*number)),
        Json::Str(text) => parse(text.trim()),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Largest numbers of seconds, milliseconds and microseconds; larger ones are nanoseconds.
const SECONDS_BELOW: u64 = 100_000_000_000;
const MS_BELOW: u64 = SECONDS_BELOW * 1_000;
const US_BELOW: u64 = MS_BELOW * 1_000;

fn whole(number: i64) -> Timestamp {
    Timestamp(match number.unsigned_abs() {
        0..SECONDS_BELOW => number.saturating_mul(1_000),
        SECONDS_BELOW..MS_BELOW => number,
        MS_BELOW..US_BELOW => number.div_euclid(1_000),
        US_BELOW.. => number.div_euclid(1_000_000),
    })
}

/// `as` saturates: an absurd clock is clamped later, not refused.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "saturates; the bounds are exact as doubles"
)]
fn fractional(number: f64) -> Timestamp {
    let size = number.abs();
    let ms = if size < SECONDS_BELOW as f64 {
        number * 1e3
    } else if size < MS_BELOW as f64 {
        number
    } else if size < US_BELOW as f64 {
        number / 1e3
    } else {
        number / 1e6
    };
    Timestamp(ms.round() as i64)
}

fn parse(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if is_digits(digits) {
        // Eight digits are a day's date in the basic form, or else a day before 1974.
        return basic_date(text.as_bytes()).or_else(|| text.parse().ok().map(whole));
    }
    match digits.split_once('.') {
        // Shorter ones are more likely a date in another spelling.
        Some((before, after))
            if is_digits(before) && is_digits(after) && (9..=19).contains(&before.len()) =>
        {
            text.parse().ok().map(fractional)
        }
        Some(_) | None => iso(text.as_bytes()),
    }
}

/// `YYYYMMDD`
fn basic_date(text: &[u8]) -> Option<Timestamp> {
    let [y1, y2, y3, y4, m1, m2, d1, d2] = *text else {
        return None;
    };
    let days = date_days(&[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2])?;
    Some(Timestamp(days * 86_400_000))
}

/// `YYYY-MM-DD`, then optionally `T` or a space with `HH:MM[:SS[.f...]]`, then `Z`, `+HH:MM`,
/// `+HHMM`, `+HH` or nothing (UTC).
fn iso(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let days = date_days(date)?;
    let Some((separator, rest)) = rest.split_first() else {
        return Some(Timestamp(days * 86_400_000));
    };
    if !matches!(separator, b'T' | b't' | b' ') {
        return None;
    }
    let (clock, rest) = rest.split_at_checked(5)?;
    let (hour, minute) = hour_minute(clock)?;
    let (second_ms, rest) = seconds(rest)?;
    let offset_ms = offset(rest)?;
    let clock_ms = (hour * 60 + minute) * 60_000 + second_ms;
    Some(Timestamp(days * 86_400_000 + clock_ms - offset_ms))
}

fn date_days(date: &[u8]) -> Option<i64> {
    let [y @ .., b'-', m1, m2, b'-', d1, d2] = date else {
        return None;
    };
    let (year, month, day) = (number(y)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return None;
    }
    // Days from the civil calendar, by years that begin in March (Hinnant's algorithm).
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn hour_minute(clock: &[u8]) -> Option<(i64, i64)> {
    let [h1, h2, b':', m1, m2] = clock else {
        return None;
    };
    let (hour, minute) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    (hour < 24 && minute < 60).then_some((hour, minute))
}

/// Milliseconds of the seconds part and what follows it; a leap second counts as the next second.
fn seconds(rest: &[u8]) -> Option<(i64, &[u8])> {
    let [b':', s1, s2, rest @ ..] = rest else {
        return Some((0, rest));
    };
    let second = number(&[*s1, *s2])?;
    if second > 60 {
        return None;
    }
    let [b'.' | b',', rest @ ..] = rest else {
        return Some((second * 1_000, rest));
    };
    let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if len == 0 {
        return None;
    }
    let (fraction, rest) = rest.split_at(len);
    let milli = (0..3).fold(0, |milli, at| {
        milli * 10 + i64::from(fraction.get(at).map_or(0, |digit| digit - b'0'))
    });
    Some((second * 1_000 + milli, rest))
}

fn offset(rest: &[u8]) -> Option<i64> {
    let (sign, hour, minute) = match rest {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2] => (sign, [*h1, *h2], [b'0', b'0']),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, [*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hour, minute) = (number(&hour)?, number(&minute)?);
    (hour < 24 && minute < 60).then_some(sign * (hour * 60 + minute) * 60_000)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + i64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_strict_parser_on_every_spelling_it_knows() {
        for text in [
            "2026-11-22T13:48:47.974Z",
            "2026-11-22T13:48:46.045082377Z",
            "2026-11-22T13:48:50.150000+00:00",
            "2024-02-29T23:59:59-11:30",
            "1969-12-31T23:59:59.9Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999+23:59",
            "2000-02-29T00:00:00.001+05:45",
            "1900-03-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), Timestamp::parse_rfc3339(text), "{text}");
        }
    }

    #[test]
    fn takes_what_clients_leave_out() {
        let noon = Timestamp::parse_rfc3339("2026-11-22T12:00:00Z");
        for text in [
            "2026-11-22T12:00:00",
            "2026-11-22 12:00",
            "2026-11-22t12:00z",
            "2026-11-22T14:00:00+0200",
            "2026-11-22T10:00:00.000-02",
            "1795348800000",
        ] {
            assert_eq!(read(&Json::Str(text.into())), noon, "{text}");
        }
        assert_eq!(
            parse("2026-11-22"),
            Timestamp::parse_rfc3339("2026-11-22T00:00:00Z")
        );
        assert_eq!(
            parse("2016-12-31T23:59:60Z"),
            Timestamp::parse_rfc3339("2017-01-01T00:00:00Z")
        );
        assert_eq!(read(&Json::Int(-5)), Some(Timestamp(-5_000)));
        assert_eq!(read(&Json::Float(1e300)), Some(Timestamp(i64::MAX)));
        assert_eq!(read(&Json::Float(-1e300)), Some(Timestamp(i64::MIN)));
    }

    #[test]
    fn the_size_of_a_number_is_its_unit() {
        let noon = Timestamp(1_795_348_800_000);
        for number in [
            1_795_348_800,
            1_795_348_800_000,
            1_795_348_800_000_000,
            1_795_348_800_000_000_000,
        ] {
            assert_eq!(read(&Json::Int(number)), Some(noon), "{number}");
            let text = number.to_string();
            assert_eq!(read(&Json::Str(text.as_str().into())), Some(noon), "{text}");
        }
        let later = Some(noon.plus_ms(123));
        assert_eq!(read(&Json::Float(1_795_348_800.123)), later);
        assert_eq!(read(&Json::Float(1_795_348_800_123.4)), later);
        assert_eq!(read(&Json::Str("1795348800.123456".into())), later);
        assert_eq!(read(&Json::Str("1795348800123.4".into())), later);
        assert_eq!(
            read(&Json::Str("20261122".into())),
            Some(noon.plus_ms(-43_200_000))
        );
        // The bounds themselves: the first millisecond that is one, in March 1973.
        assert_eq!(
            read(&Json::Int(99_999_999_999)),
            Some(Timestamp(99_999_999_999_000))
        );
        assert_eq!(
            read(&Json::Int(100_000_000_000)),
            Some(Timestamp(100_000_000_000))
        );
        assert_eq!(
            read(&Json::Int(i64::MAX)),
            Some(Timestamp(i64::MAX / 1_000_000))
        );
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "-",
            "now",
            "2026-13-01",
            "2026-02-29",
            "2026-11-22T24:00:00Z",
            "2026-11-22T12:60:00Z",
            "2026-11-22T12:00:61Z",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00:00+25:00",
            "2026-11-22T12:00:00 Z",
            "2026-11-22X12:00",
            "2026-1-2",
            "9999999999999999999999",
            "２０２６",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(read(&Json::Bool(true)), None);
    }
}
