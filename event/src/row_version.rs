//! The version in front of a stored row. Postcard bytes do not name their fields, so a row says
//! itself which form it has, and one store may hold rows of several forms.
//!
//! Rows of version 1 were written before rows had a version and begin with their first field. The
//! mark of later versions is an integer that postcard never writes: zero in two bytes instead of
//! one. So no row of version 1, which begins with an integer or an option's tag, looks like it.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version of rows without a mark.
pub const UNMARKED: u8 = 1;

/// Why a row cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A later build wrote it.
    #[error("the row has format {found}, which is newer than this build reads")]
    Newer {
        /// Its version.
        found: u8,
    },
    /// Its fields do not parse.
    #[error("the row does not parse")]
    Malformed,
}

/// A value that is stored as a row with its version. It is written in the newest version.
pub trait Row: DeserializeOwned {
    /// The newest version, above [`UNMARKED`].
    const VERSION: u8;

    /// Reads the fields of a row of an earlier version.
    ///
    /// # Errors
    /// [`RowError::Malformed`]
    fn read_earlier(version: u8, fields: &[u8]) -> Result<Self, RowError>;
}

/// The bytes of a row `R` with these fields: a borrowed `R`, or a tuple of what `R` is made of.
///
/// # Errors
/// [`RowError::Malformed`] where the fields have no form in postcard, such as a map of unknown size.
pub fn write<R: Row>(fields: &impl Serialize) -> Result<Vec<u8>, RowError> {
    postcard::to_extend(fields, begin(R::VERSION)).map_err(|_| RowError::Malformed)
}

/// Reads a row of any version up to the newest.
///
/// # Errors
/// [`RowError`]
pub fn read<R: Row>(row: &[u8]) -> Result<R, RowError> {
    let (version, fields) = split(row);
    if version == R::VERSION {
        return from_fields(fields);
    }
    if version > R::VERSION {
        return Err(RowError::Newer { found: version });
    }
    R::read_earlier(version, fields)
}

/// Reads fields as the type that they were written as.
///
/// # Errors
/// [`RowError::Malformed`]
pub fn from_fields<T: DeserializeOwned>(fields: &[u8]) -> Result<T, RowError> {
    postcard::from_bytes(fields).map_err(|_| RowError::Malformed)
}

const MARK: [u8; 2] = [0x80, 0x00];

/// The beginning of a row of `version`, which is above [`UNMARKED`]; its fields follow.
#[must_use]
fn begin(version: u8) -> Vec<u8> {
    debug_assert!(version > UNMARKED, "rows of version 1 have no mark");
    [&MARK[..], &[version]].concat()
}

/// A row's version and its fields.
#[must_use]
fn split(row: &[u8]) -> (u8, &[u8]) {
    match row {
        [first, second, version, fields @ ..] if [*first, *second] == MARK => (*version, fields),
        fields => (UNMARKED, fields),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Point {
        x: u32,
        y: u32,
    }

    impl Row for Point {
        const VERSION: u8 = 3;

        fn read_earlier(version: u8, fields: &[u8]) -> Result<Self, RowError> {
            match version {
                UNMARKED => from_fields(fields).map(|x| Self { x, y: 0 }),
                _ => from_fields(fields).map(|(y, x)| Self { x, y }),
            }
        }
    }

    #[test]
    fn a_row_of_each_version_is_read() {
        let newest = write::<Point>(&(7_u32, 8_u32)).unwrap();
        assert_eq!(read(&newest), Ok(Point { x: 7, y: 8 }));
        let second = postcard::to_extend(&(8_u32, 7_u32), begin(2)).unwrap();
        assert_eq!(read(&second), Ok(Point { x: 7, y: 8 }));
        let first = postcard::to_stdvec(&7_u32).unwrap();
        assert_eq!(read(&first), Ok(Point { x: 7, y: 0 }));
    }

    #[test]
    fn a_newer_row_is_named_and_a_cut_one_is_malformed() {
        let newer = read::<Point>(&begin(4));
        assert_eq!(newer, Err(RowError::Newer { found: 4 }));
        let whole = write::<Point>(&(7_u32, 8_u32)).unwrap();
        // Behind the mark and the version.
        for len in 3..whole.len() {
            assert_eq!(
                read::<Point>(&whole[..len]),
                Err(RowError::Malformed),
                "{len}"
            );
        }
    }

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
