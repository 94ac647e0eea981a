//! The version in front of a stored row. Postcard bytes do not name their fields, so a row says
//! itself which form it has, and one store may hold rows of several forms.
//!
//! Rows of version 1 were written before rows had a version and begin with their first field. The
//! mark of later versions is an integer that postcard never writes: zero in two bytes instead of
//! one. So no row of version 1, which begins with an integer or an option's tag, looks like it.

/// The version of rows without a mark.
pub const UNMARKED: u8 = 1;

const MARK: [u8; 2] = [0x80, 0x00];

/// The beginning of a row of `version`, which is above [`UNMARKED`]; its fields follow.
#[must_use]
pub fn begin(version: u8) -> Vec<u8> {
    debug_assert!(version > UNMARKED, "rows of version 1 have no mark");
    [&MARK[..], &[version]].concat()
}

/// A row's version and its fields.
#[must_use]
pub fn split(row: &[u8]) -> (u8, &[u8]) {
    match row {
        [first, second, version, fields @ ..] if [*first, *second] == MARK => (*version, fields),
        fields => (UNMARKED, fields),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_row_gives_its_version_and_fields() {
        let mut row = begin(7);
        row.extend_from_slice(b"fields");
        assert_eq!(split(&row), (7, &b"fields"[..]));
    }

    #[test]
    fn no_integer_or_option_begins_with_the_mark() {
        let numbers = (0..70).flat_map(|bit| {
            let power = 1u64.checked_shl(bit).unwrap_or(0);
            [power.wrapping_sub(1), power, power.wrapping_add(1)]
        });
        for number in numbers.chain(0..100_000) {
            for row in [
                postcard::to_stdvec(&(number, [0u8; 4])),
                postcard::to_stdvec(&Some(number)),
                postcard::to_stdvec(&None::<u64>),
            ] {
                let row = row.unwrap();
                assert_eq!(split(&row), (UNMARKED, &row[..]), "{number}");
            }
        }
    }
}
