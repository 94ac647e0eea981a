//! The client's own consent signal: `context.consent`, and RudderStack's `context.consentManagement`.
//! IAB strings (TCF, GPP) are not read here.
//!
//! Understood, the strictest word winning:
//! - `true` or `false`; `{"granted": bool}`;
//! - Google's names (`analytics_storage`, `ad_storage`, ...) and short ones (`analytics`, `ads`);
//! - Segment's `{"categoryPreferences": {"Analytics": bool, ...}}`;
//! - RudderStack's `{"allowedConsentIds": [...], "deniedConsentIds": [...]}`;
//! - the ids in the source's `consent_map`, in each of these.
//!
//! Analytics denied is a refusal. Only advertising denied keeps the visit and shares nothing. An
//! object that denies something unknown, or in which nothing is known, is no grant: the event is kept
//! without identifiers.

use std::collections::BTreeSet;

use tidegate_event::Json;

use crate::catalog::{ConsentMap, ConsentMeaning};

/// The members of a context that hold a signal.
pub(crate) const MEMBERS: [&str; 2] = ["consent", "consentManagement"];

/// What the client said; later ones are stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TagConsent {
    /// Nothing is denied and something granted.
    Granted,
    /// Advertising or sharing is denied.
    NoShare,
    /// Something is said, and not that analytics are granted.
    Anonymous,
    /// Everything, or analytics, is denied.
    Refused,
}

/// What an object says so far.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    strictest: Option<TagConsent>,
    /// A name that we know is in it, also one that says nothing of our purposes.
    known: bool,
    /// So is one that we do not know.
    unknown: bool,
    /// A list of allowed ids was read.
    allowed: bool,
}

impl TagConsent {
    /// Reads an event's context; None without a signal.
    pub(crate) fn of_context(context: &Json<'_>, map: &ConsentMap) -> Option<Self> {
        MEMBERS
            .into_iter()
            .filter_map(|name| Self::read(context.get(name)?, map))
            .max()
    }

    /// Reads one signal; None where it says nothing.
    pub(crate) fn read(consent: &Json<'_>, map: &ConsentMap) -> Option<Self> {
        let members = match consent {
            Json::Object(members) => members,
            // PHP's empty object.
            Json::Array(items) if items.is_empty() => return None,
            _ => {
                let granted = verdict(consent)?;
                return Some(if granted {
                    Self::Granted
                } else {
                    Self::Refused
                });
            }
        };
        let mut said = Said::default();
        for (name, value) in members {
            match &**name {
                "categoryPreferences" => said.categories(value, map),
                "allowedConsentIds" => said.allowed(value, map),
                "deniedConsentIds" => said.ids(value, false, map),
                // They say which tool collected the consent, and how the ids combine.
                "provider" | "resolutionStrategy" => {}
                _ => said.purpose(name, value, map),
            }
        }
        said.result()
    }
}

impl Said {
    fn result(self) -> Option<TagConsent> {
        let unclear = (self.unknown && !self.known).then_some(TagConsent::Anonymous);
        self.strictest.max(unclear)
    }

    fn add(&mut self, said: TagConsent) {
        self.strictest = self.strictest.max(Some(said));
    }

    /// Segment's categories; an empty list denies all of them.
    fn categories(&mut self, value: &Json<'_>, map: &ConsentMap) {
        match value {
            Json::Null => {}
            Json::Object(categories) if !categories.is_empty() => {
                for (name, value) in categories {
                    self.purpose(name, value, map);
                }
            }
            _ => self.add(TagConsent::Anonymous),
        }
    }

    /// RudderStack's allowed ids. An id that the source maps and that is missing is not allowed.
    /// A second list is not read: each costs a walk through the map, and their number is the
    /// client's choice.
    fn allowed(&mut self, value: &Json<'_>, map: &ConsentMap) {
        if std::mem::replace(&mut self.allowed, true) {
            self.add(TagConsent::Anonymous);
            return;
        }
        self.ids(value, true, map);
        let Json::Array(ids) = value else { return };
        // The list is the client's and may be long: it is read once, not once for each mapped id.
        let allowed: BTreeSet<&str> = ids
            .iter()
            .filter_map(Json::as_str)
            .filter(|id| map.contains_key(*id))
            .collect();
        for (_, meaning) in map.iter().filter(|(id, _)| !allowed.contains(id.as_str())) {
            self.meaning(*meaning, false);
        }
    }

    fn ids(&mut self, value: &Json<'_>, granted: bool, map: &ConsentMap) {
        match value {
            Json::Null => {}
            Json::Array(ids) => {
                for id in ids {
                    match id {
                        Json::Str(id) => self.purpose(id, &Json::Bool(granted), map),
                        _ => self.add(TagConsent::Anonymous),
                    }
                }
            }
            _ => self.add(TagConsent::Anonymous),
        }
    }

    /// One named purpose or category.
    fn purpose(&mut self, name: &str, value: &Json<'_>, map: &ConsentMap) {
        let meaning = map.get(name).copied().or_else(|| known(name));
        match (meaning, verdict(value)) {
            (_, None) => {}
            (Some(meaning), Some(granted)) => self.meaning(meaning, granted),
            (None, Some(_)) => {
                self.unknown = true;
                if denies(value) {
                    self.add(TagConsent::Anonymous);
                }
            }
        }
    }

    fn meaning(&mut self, meaning: ConsentMeaning, granted: bool) {
        self.known = true;
        match (meaning, granted) {
            (ConsentMeaning::Ignore, _) => {}
            (_, true) => self.add(TagConsent::Granted),
            (ConsentMeaning::Analytics, false) => self.add(TagConsent::Refused),
            (ConsentMeaning::Advertising, false) => self.add(TagConsent::NoShare),
        }
    }
}

/// Names whose meaning is the same for every source.
fn known(name: &str) -> Option<ConsentMeaning> {
    let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    if is(&["granted", "analytics", "analytics_storage"]) {
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
    ]) {
        Some(ConsentMeaning::Ignore)
    } else {
        None
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

/// Whether a value under an unknown name is a denial; else it may be a time or a version.
fn denies(value: &Json<'_>) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(consent: &str, map: &ConsentMap) -> Option<TagConsent> {
        TagConsent::read(&serde_json::from_str(consent).unwrap(), map)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn the_strictest_word_wins() {
        use TagConsent::{Anonymous, Granted, NoShare, Refused};
        for (consent, expected) in [
            ("null", None),
            ("{}", None),
            ("[]", None),
            ("\"yes\"", Some(Refused)),
            ("1", Some(Refused)),
            ("[true]", Some(Refused)),
            (r#"{"granted":1}"#, Some(Refused)),
            (r#"{"granted":"no"}"#, Some(Refused)),
            (r#"{"granted":null}"#, None),
            ("true", Some(Granted)),
            ("false", Some(Refused)),
            (r#"{"granted":true}"#, Some(Granted)),
            (
                r#"{"granted":true,"version":3,"at":"2026-01-01"}"#,
                Some(Granted),
            ),
            (r#"{"granted":false,"analytics":"granted"}"#, Some(Refused)),
            (r#"{"granted":"denied"}"#, Some(Refused)),
            (
                r#"{"analytics_storage":"granted","ad_storage":"denied"}"#,
                Some(NoShare),
            ),
            (
                r#"{"analytics_storage":"granted","functionality_storage":"denied"}"#,
                Some(Granted),
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
            // What is denied or said in unknown words is no grant.
            (r#"{"functional":"denied"}"#, Some(Anonymous)),
            (r#"{"granted":true,"profiling":false}"#, Some(Anonymous)),
            (r#"{"granted":true,"profiling":0}"#, Some(Anonymous)),
            (
                r#"{"categoryPreferences":{"C0001":true,"C0002":false,"C0004":false}}"#,
                Some(Anonymous),
            ),
            (r#"{"categoryPreferences":{"C0001":true}}"#, Some(Anonymous)),
            (r#"{"categoryPreferences":{}}"#, Some(Anonymous)),
            (r#"{"categoryPreferences":[]}"#, Some(Anonymous)),
            (
                r#"{"necessary":true,"preferences":false,"statistics":false,"marketing":true}"#,
                Some(Anonymous),
            ),
            (
                r#"{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0002","C0004"]}"#,
                Some(Anonymous),
            ),
            (r#"{"allowedConsentIds":["C0001"]}"#, Some(Anonymous)),
            (r#"{"purposes":{"1":false}}"#, Some(Anonymous)),
        ] {
            assert_eq!(read(consent, &ConsentMap::new()), expected, "{consent}");
        }
        assert_eq!(
            TagConsent::of_context(&Json::Null, &ConsentMap::new()),
            None
        );
    }

    #[test]
    fn a_map_gives_ids_their_meaning() {
        use TagConsent::{Anonymous, Granted, NoShare, Refused};
        let map = ConsentMap::from([
            ("C0001".to_owned(), ConsentMeaning::Ignore),
            ("C0002".to_owned(), ConsentMeaning::Analytics),
            ("C0004".to_owned(), ConsentMeaning::Advertising),
        ]);
        for (consent, expected) in [
            (r#"{"categoryPreferences":{"C0001":true}}"#, None),
            (
                r#"{"categoryPreferences":{"C0001":true,"C0002":true,"C0004":true}}"#,
                Some(Granted),
            ),
            (
                r#"{"categoryPreferences":{"C0002":true,"C0004":false}}"#,
                Some(NoShare),
            ),
            (
                r#"{"categoryPreferences":{"C0002":false,"C0004":true}}"#,
                Some(Refused),
            ),
            (
                r#"{"categoryPreferences":{"C0002":true,"C0005":false}}"#,
                Some(Anonymous),
            ),
            (
                r#"{"allowedConsentIds":["C0001","C0002"],"deniedConsentIds":["C0004"]}"#,
                Some(NoShare),
            ),
            // Not among the allowed ones.
            (r#"{"allowedConsentIds":["C0001","C0002"]}"#, Some(NoShare)),
            (r#"{"allowedConsentIds":["C0001"]}"#, Some(Refused)),
            (r#"{"allowedConsentIds":[]}"#, Some(Refused)),
            // Said twice is unclear.
            (
                r#"{"allowedConsentIds":["C0002","C0004"],"allowedConsentIds":["C0002","C0004"]}"#,
                Some(Anonymous),
            ),
        ] {
            assert_eq!(read(consent, &map), expected, "{consent}");
        }
    }

    #[test]
    fn both_places_of_a_context_count() {
        let context = r#"{"consent":true,"consentManagement":{"deniedConsentIds":["C0002"]}}"#;
        let context: Json<'_> = serde_json::from_str(context).unwrap();
        assert_eq!(
            TagConsent::of_context(&context, &ConsentMap::new()),
            Some(TagConsent::Anonymous)
        );
    }
}
