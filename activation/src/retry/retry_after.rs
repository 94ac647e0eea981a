//! `Retry-After`: delay in seconds, or one of HTTP's three date forms (RFC 9110, 5.6.7).

use tidegate_event::Timestamp;
use time::{Date, Month, Time, UtcDateTime};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The point in time that a `Retry-After` value names; None for a value that is none.
#[must_use]
pub fn parse(value: &str, now: Timestamp) -> Option<Timestamp> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean "for ever"; the retry policy caps it.
        let seconds = value.parse::<i64>().unwrap_or(i64::MAX);
        return Some(now.plus_ms(seconds.saturating_mul(1_000)));
    }
    http_date(value, now)
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
    fn an_absurd_delay_saturates_instead_of_overflowing() {
        assert!(parse("99999999999999999999999", NOW).is_some_and(|at| at > NOW));
    }

    #[test]
    fn anything_else_is_ignored() {
        for bad in [
            "",
            "soon",
            "-5",
            "1.5",
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
