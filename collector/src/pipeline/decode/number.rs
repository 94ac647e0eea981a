//! A JSON number as an identifier: its exact decimal text. A double holds 15 to 17 digits, so that
//! two long ids would become one. Spellings of one value give one text: `1`, `1.0` and `1e0` are `1`.

use std::borrow::Cow;

/// Longest decimal text that an exponent is written out to; longer ones stay as sent.
const DIGITS_MAX: usize = 400;

/// The identifier that a JSON number names.
pub(super) fn as_id(number: &str) -> Cow<'_, str> {
    let digits = number.strip_prefix('-').unwrap_or(number);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(if digits == "0" { "0" } else { number });
    }
    expanded(number).map_or(Cow::Borrowed(number), Cow::Owned)
}

/// Without exponent, and without zeros at the end of its fraction.
fn expanded(number: &str) -> Option<String> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (number, 0),
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    // Where the point stands, counted in digits from the left.
    let point = exponent.checked_add(i64::try_from(whole.len()).ok()?)?;
    let max = i64::try_from(DIGITS_MAX).ok()?;
    if !(-max..=max).contains(&point) || digits.len() > DIGITS_MAX {
        return None;
    }
    let lead = usize::try_from(-point).unwrap_or(0);
    let point = usize::try_from(point).unwrap_or(0);
    let mut padded = format!("{}{digits}", "0".repeat(lead));
    if padded.len() < point {
        padded.push_str(&"0".repeat(point - padded.len()));
    }
    let (whole, fraction) = padded.split_at(point);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = fraction.trim_end_matches('0');
    Some(match (whole, fraction) {
        ("0", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_keeps_all_its_digits() {
        for (number, id) in [
            ("7", "7"),
            ("-7", "-7"),
            ("-0", "0"),
            ("12345678901234567890", "12345678901234567890"),
            (
                "1234567890123456789012345678901234567890",
                "1234567890123456789012345678901234567890",
            ),
            ("12345678901234567890.0", "12345678901234567890"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("1.2345678901234567891e19", "12345678901234567891"),
            ("-1.50", "-1.5"),
            ("0.001", "0.001"),
            ("25e-3", "0.025"),
            ("0.0e5", "0"),
            ("1e999999999999999999999", "1e999999999999999999999"),
            ("1e4000", "1e4000"),
        ] {
            assert_eq!(as_id(number), id, "{number}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_number_keeps_its_value(number in "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,6})?([eE][+-]?[0-9]{1,2})?") {
            let value: f64 = number.parse().unwrap();
            let id: f64 = as_id(&number).parse().unwrap();
            proptest::prop_assert!((id - value).abs() <= value.abs() * 1e-12, "{number} {id}");
        }
    }
}
