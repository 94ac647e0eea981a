//! Sizes and lengths of time as people write them: `"10GiB"`, `"30m"`.

use tidegate_event::time::parse_duration_ms;

/// Unit words of sizes, smallest first.
const SIZES: [(&str, u64); 5] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Unit words of lengths of time, smallest first.
const DURATIONS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads `"64MiB"` into bytes; None for anything but a whole number and one of B, KiB, MiB, GiB,
/// TiB.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let bytes = SIZES.iter().find(|(word, _)| *word == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(bytes)
}

/// Reads `"30m"` into milliseconds.
#[must_use]
pub fn parse_duration(text: &str) -> Option<u64> {
    parse_duration_ms(text).ok()
}

/// Writes bytes with the largest unit that divides them.
#[must_use]
pub fn write_size(bytes: u64) -> String {
    write(bytes, &SIZES)
}

/// Writes milliseconds with the largest unit that divides them.
#[must_use]
pub fn write_duration(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    write(ms, &DURATIONS)
}

/// What a wrong size was probably meant to be: `"10gb"` is `"10GiB"`.
#[must_use]
pub fn size_meant(text: &str) -> Option<String> {
    meant(text, |unit| {
        match unit.to_ascii_lowercase().trim_end_matches("ib") {
            "" | "b" => Some("B"),
            "k" | "kb" => Some("KiB"),
            "m" | "mb" => Some("MiB"),
            "g" | "gb" => Some("GiB"),
            "t" | "tb" => Some("TiB"),
            _ => None,
        }
    })
}

/// What a wrong duration was probably meant to be: `"30 minutes"` is `"30m"`.
#[must_use]
pub fn duration_meant(text: &str) -> Option<String> {
    meant(text, |unit| match unit.to_ascii_lowercase().as_str() {
        "milliseconds" | "millisecond" | "msec" | "millis" => Some("ms"),
        "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
        "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
        "h" | "hr" | "hrs" | "hour" | "hours" => Some("h"),
        "d" | "day" | "days" => Some("d"),
        _ => None,
    })
}

fn meant(text: &str, unit_word: impl Fn(&str) -> Option<&'static str>) -> Option<String> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() || number.len() > 18 {
        return None;
    }
    unit_word(unit.trim()).map(|unit| format!("{number}{unit}"))
}

fn write(value: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .rev()
        .find(|(_, unit)| value >= *unit && value.is_multiple_of(*unit))
        .map_or_else(
            || format!("{value}{}", units[0].0),
            |(word, unit)| format!("{}{word}", value / unit),
        )
}
