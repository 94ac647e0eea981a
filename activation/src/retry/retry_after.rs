//! `Retry-After`: delay in seconds, with or without a fraction, or one of HTTP's three date forms
//! (RFC 9110, 5.6.7).

use tidegate_event::Timestamp;
use time::{Date, Month, Time, UtcDateTime};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The point in time that a `Retry-After` value names, where the wall clock reads `now`; None for a
/// value that is none.
#[must_use]
pub fn parse(value: &str, now: Timestamp) -> Option<Timestamp> {
    let value = value.trim();
    // Values that a proxy joined: the longest counts. A date has commas too, but no numbers alone.
    let joined = value.split(',').map(delay_ms).collect::<Option<Vec<_>>>();
    match joined.into_iter().flatten().max() {
        Some(ms) => Some(now.plus_ms(ms)),
        None => http_date(value, now),
    }
}

/// Whole seconds or, as gateways that work in milliseconds write, a fraction; rounded up to
/// milliseconds. More digits than fit mean "for ever": the retry policy caps it.
pub(super) fn delay_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let seconds = match whole {
        "" => 0,
        whole => whole.parse::<i64>().unwrap_or(i64::MAX),
    };
    let thousandths = fraction.bytes().chain([b'0'; 3]).take(3);
    let ms = thousandths.fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    let rest = fraction.bytes().skip(3).any(|digit| digit != b'0');
    Some(
        seconds
            .saturating_mul(1_000)
            .saturating_add(ms + i64::from(rest)),
    )
}

fn http_date(value: &str, now: Timestamp) -> Option<Timestamp> {
    let words: Vec<_> = value
        .split([' ', ',', '-'])
        .filter(|word| !word.is_empty())
        .take(8)
        .collect();
    let (day, month, year, clock) = match words.as_slice() {
        // Sun, 06 Nov 1994 08:49:37 GMT, and Sunday, 06-Nov-94 08:49:37 GMT
        [_, day, month, year, clock, "GMT"] => (day, month, year, clock),
        // Sun Nov  6 08:49:37 1994
        [_, month, day, clock, year] => (day, month, year, clock),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| name == month)?;
    let month = Month::try_from(u8::try_from(month).ok()? + 1).ok()?;
    let date = Date::from_calendar_date(full_year(year, now)?, month, day.parse().ok()?).ok()?;
    let at = UtcDateTime::new(date, time_of_day(clock)?);
    Some(Timestamp(at.unix_timestamp().saturating_mul(1_000)))
}

/// Two digits mean the year with them that is not more than 50 years ahead.
fn full_year(text: &str, now: Timestamp) -> Option<i32> {
    let year: i32 = text.parse().ok()?;
    match text.len() {
        4 => Some(year),
        2 => {
            let this = UtcDateTime::from_unix_timestamp(now.0.div_euclid(1_000))
                .ok()?
                .year();
            let year = this - this.rem_euclid(100) + year;
            Some(if year > this + 50 { year - 100 } else { year })
        }
        _ => None,
    }
}

fn time_of_day(text: &str) -> Option<Time> {
    let mut parts = text.split(':').map(str::parse::<u8>);
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Time::from_hms(hour.ok()?, minute.ok()?, second.ok()?.min(59)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(784_111_777_000);

    #[test]
    fn seconds_and_all_three_date_forms_are_read() {
        assert_eq!(parse("120", NOW), Some(NOW.plus_ms(120_000)));
        assert_eq!(parse(" 0 ", NOW), Some(NOW));
        assert_eq!(parse("\t007 ", NOW), Some(NOW.plus_ms(7_000)));
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(date, NOW), Some(NOW), "{date}");
        }
        let leap = parse("Sat, 31 Dec 2016 23:59:60 GMT", NOW);
        assert_eq!(leap, Some(Timestamp(1_483_228_799_000)));
    }

    #[test]
    fn a_fraction_is_never_rounded_down() {
        for (value, ms) in [
            ("4.5", 4_500),
            ("0.9", 900),
            (".25", 250),
            ("4.", 4_000),
            ("1.0000", 1_000),
            ("1.0001", 1_001),
            ("2.9999999999999999999999", 3_000),
            ("3, 4.5, 1", 4_500),
        ] {
            assert_eq!(parse(value, NOW), Some(NOW.plus_ms(ms)), "{value}");
        }
    }

    #[test]
    fn an_absurd_delay_saturates_instead_of_overflowing() {
        for huge in ["99999999999999999999999", "9223372036854775807.9999"] {
            assert!(parse(huge, NOW).is_some_and(|at| at > NOW), "{huge}");
        }
    }

    #[test]
    fn anything_else_is_ignored() {
        for bad in [
            "",
            "soon",
            "-5",
            "-1",
            "+5",
            ".",
            "1.2.3",
            "1,5s",
            "1e3",
            "5;",
            "4, soon",
            "Sun, 06 Nov 1994",
            "Sun, 40 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 19940 08:49:37 GMT",
        ] {
            assert_eq!(parse(bad, NOW), None, "{bad}");
        }
    }
}
