//! The tag's own consent signal, `context.consent`. IAB strings (TCF, GPP) are not read here.
//!
//! Understood, the strictest word winning: `true` or `false`; `{"granted": bool}`; Google's names
//! (`{"analytics_storage": "granted" | "denied", "ad_storage": ...}`) and short ones (`analytics`,
//! `ads`, `marketing`, `advertising`); Segment's `{"categoryPreferences": {"Analytics": bool, ...}}`.
//! Analytics denied is a refusal. Only advertising denied keeps the visit and shares nothing. A word
//! that we do not know is no grant: it counts as a denial of what it is said of.

use tidegate_event::Json;

/// What the tag said; later ones are stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TagConsent {
    /// Nothing is denied and something granted.
    Granted,
    /// Advertising or sharing is denied.
    NoShare,
    /// Everything, or analytics, is denied.
    Refused,
}

impl TagConsent {
    /// Reads an event's context; None without a signal that we know.
    pub(crate) fn read(context: &Json<'_>) -> Option<Self> {
        let consent = context.get("consent")?;
        let Json::Object(members) = consent else {
            let granted = verdict(consent)?;
            return Some(if granted {
                Self::Granted
            } else {
                Self::Refused
            });
        };
        let preferences = match consent.get("categoryPreferences") {
            Some(Json::Object(preferences)) => preferences.as_slice(),
            _ => &[],
        };
        members
            .iter()
            .chain(preferences)
            .filter_map(|(purpose, value)| Self::of_purpose(purpose, verdict(value)?))
            .max()
    }

    fn of_purpose(purpose: &str, granted: bool) -> Option<Self> {
        let is = |names: &[&str]| names.iter().any(|name| purpose.eq_ignore_ascii_case(name));
        let denied = if is(&["granted", "analytics", "analytics_storage"]) {
            Self::Refused
        } else if is(&[
            "ads",
            "advertising",
            "marketing",
            "ad_storage",
            "ad_user_data",
            "ad_personalization",
        ]) {
            Self::NoShare
        } else {
            return None;
        };
        Some(if granted { Self::Granted } else { denied })
    }
}

/// None where nothing is said.
fn verdict(value: &Json<'_>) -> Option<bool> {
    match value {
        Json::Null => None,
        Json::Bool(granted) => Some(*granted),
        Json::Str(word) => Some(word.eq_ignore_ascii_case("granted")),
        Json::Int(_) | Json::Float(_) | Json::Array(_) | Json::Object(_) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_word_wins() {
        use TagConsent::{Granted, NoShare, Refused};
        for (consent, expected) in [
            ("null", None),
            ("{}", None),
            ("\"yes\"", Some(Refused)),
            ("1", Some(Refused)),
            (r#"{"granted":1}"#, Some(Refused)),
            (r#"{"granted":"no"}"#, Some(Refused)),
            (r#"{"granted":null}"#, None),
            (r#"{"functional":"denied"}"#, None),
            ("true", Some(Granted)),
            ("false", Some(Refused)),
            (r#"{"granted":true}"#, Some(Granted)),
            (r#"{"granted":false,"analytics":"granted"}"#, Some(Refused)),
            (r#"{"granted":"denied"}"#, Some(Refused)),
            (
                r#"{"analytics_storage":"granted","ad_storage":"denied"}"#,
                Some(NoShare),
            ),
            (
                r#"{"analytics_storage":"denied","ad_storage":"granted"}"#,
                Some(Refused),
            ),
            (
                r#"{"categoryPreferences":{"Advertising":true,"Analytics":false}}"#,
                Some(Refused),
            ),
            (
                r#"{"categoryPreferences":{"Advertising":false,"Functional":true}}"#,
                Some(NoShare),
            ),
        ] {
            let text = format!("{{\"consent\":{consent}}}");
            let context: Json<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(TagConsent::read(&context), expected, "{consent}");
        }
        assert_eq!(TagConsent::read(&Json::Null), None);
    }
}
