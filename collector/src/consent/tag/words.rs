//! The words of the tag's signal: names that mean the same for every source, and values.

use tidegate_event::Json;

use crate::catalog::ConsentMeaning;

/// Names whose meaning is the same for every source.
pub(super) fn known(name: &str) -> Option<ConsentMeaning> {
    let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    if is(&["granted", "analytics", "analytics_storage", "statistics"]) {
        Some(ConsentMeaning::Analytics)
    } else if is(&[
        "ads",
        "advertising",
        "marketing",
        "ad_storage",
        "ad_user_data",
        "ad_personalization",
    ]) {
        Some(ConsentMeaning::Advertising)
    } else if is(&[
        // The rest of Google's consent mode: what the site itself may store.
        "functionality_storage",
        "personalization_storage",
        "security_storage",
        "wait_for_update",
        // The rest of Cookiebot's.
        "necessary",
        "preferences",
    ]) {
        Some(ConsentMeaning::Ignore)
    } else {
        None
    }
}

/// None where nothing is said.
pub(super) fn verdict(value: &Json<'_>) -> Option<bool> {
    match value {
        Json::Null => None,
        Json::Bool(granted) => Some(*granted),
        Json::Str(word) => Some(word.eq_ignore_ascii_case("granted")),
        Json::Int(_) | Json::Float(_) | Json::Array(_) | Json::Object(_) => Some(false),
    }
}

/// Whether a value under an unknown name is a denial; else it may be a time or a version.
pub(super) fn denies(value: &Json<'_>) -> bool {
    const WORDS: [&str; 8] = [
        "denied", "deny", "false", "no", "rejected", "refused", "opt-out", "off",
    ];
    match value {
        Json::Bool(granted) => !granted,
        Json::Int(number) => *number == 0,
        Json::Str(word) => WORDS.iter().any(|denial| word.eq_ignore_ascii_case(denial)),
        Json::Null | Json::Float(_) | Json::Array(_) | Json::Object(_) => false,
    }
}
