//! Guesses which of the known words a misspelt one was meant to be.

use crate::error::Hint;

/// The nearest word, where at most a third of its letters differ.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a &'static str>) -> Hint {
    let best = known
        .into_iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .min_by_key(|(distance, _)| *distance);
    Hint(match best {
        Some((distance, candidate)) if distance <= candidate.len().div_ceil(3) => Some(candidate),
        _ => None,
    })
}

/// Letters to insert, remove or change, ignoring case.
fn distance(left: &str, right: &str) -> usize {
    // A word longer than any name is no misspelling; this bounds the table.
    if left.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let change = diagonal + usize::from(!a.eq_ignore_ascii_case(&b));
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
