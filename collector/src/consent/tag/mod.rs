//! The client's own word.
//!
//! - Read: `context.consent` and RudderStack's `context.consentManagement`, of an event and of its
//!   batch; a page's own word in `?consent=` of `GET /v1/segments`. IAB strings are not read here.
//! - Values, the strictest winning:
//!   - `true` or `false`; `{"granted": bool}`;
//!   - Google's names (`analytics_storage`, `ad_storage`, ...), Cookiebot's (`statistics`,
//!     `marketing`, ...) and short ones (`analytics`, `ads`);
//!   - Segment's `{"categoryPreferences": {"Analytics": bool, ...}}`;
//!   - RudderStack's `{"allowedConsentIds": [...], "deniedConsentIds": [...]}`;
//!   - the ids in the source's `consent_map`, in each of these.
//! - Source: Segment, "Consent in Segment Connections"; RudderStack, "Add the Consent Object"; Google,
//!   consent mode v2; Cookiebot, `Cookiebot.consent`.
//! - Unknown value: an object that denies something unknown, or in which nothing is known, allows no
//!   identifiers (decision 041).
//!
//! Only a known word about analytics grants (decision 082). Analytics denied is a refusal;
//! advertising denied shares nothing. Advertising granted says nothing.

mod words;

use std::borrow::Cow;
use std::collections::BTreeSet;

use tidegate_event::consent::ConsentSignal;
use tidegate_event::{Hit, Json, Purposes};

use super::signal::{Request, Signal, Word, lent};
use crate::catalog::{ConsentMap, ConsentMeaning, Source};
use words::{denies, known, verdict};

/// The members of a context that hold a signal.
const MEMBERS: &[&str] = &["consent", "consentManagement"];

pub(super) const SIGNAL: Signal = Signal {
    name: ConsentSignal("tag"),
    members: MEMBERS,
    of_request,
    of_event,
};

/// The page's own word.
fn of_request(request: &Request<'_>, source: &Source) -> Word {
    let read = |word| TagConsent::read(&Json::Str(Cow::Borrowed(word)), &source.consent_map);
    request.word.map_or(Word::SILENT, |word| read(word).word())
}

/// What the event and its batch say together.
fn of_event(hit: &Hit<'_>, source: &Source) -> Word {
    let map = &source.consent_map;
    let lent = lent(hit, MEMBERS).map(|consent| TagConsent::read(consent, map));
    let own = TagConsent::of_context(&hit.context.value, map);
    lent.fold(own, TagConsent::and).word()
}

/// What the client said: a grant, and what limits it or the source's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TagConsent {
    /// A known word grants analytics.
    granted: bool,
    /// The strictest denial.
    limit: Option<Limit>,
}

/// What a denial leaves; later ones are stricter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    /// Advertising or sharing is denied.
    NoShare,
    /// Something unknown is denied, or nothing that is said is known.
    Anonymous,
    /// Everything, or analytics, is denied.
    Refused,
}

/// What an object says so far.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    consent: TagConsent,
    /// The object has a known name, which may say nothing about our purposes.
    known: bool,
    /// The object has an unknown name.
    unknown: bool,
    /// A list of allowed ids was read.
    allowed: bool,
}

impl TagConsent {
    /// Reads an event's context.
    fn of_context(context: &Json<'_>, map: &ConsentMap) -> Self {
        MEMBERS
            .iter()
            .filter_map(|name| Some(Self::read(context.get(name)?, map)))
            .fold(Self::default(), Self::and)
    }

    /// Reads one signal; the default where it says nothing.
    fn read(consent: &Json<'_>, map: &ConsentMap) -> Self {
        let members = match consent {
            Json::Object(members) => members,
            // PHP's empty object.
            Json::Array(items) if items.is_empty() => return Self::default(),
            _ => return verdict(consent).map(Self::of_analytics).unwrap_or_default(),
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

    /// Both signals together: a grant of either, limited by the denials of both.
    fn and(self, other: Self) -> Self {
        Self {
            granted: self.granted || other.granted,
            limit: self.limit.max(other.limit),
        }
    }

    fn word(self) -> Word {
        Word {
            grants: self.granted,
            limit: match self.limit {
                None => Purposes::GRANTED,
                Some(Limit::NoShare) => Purposes::NO_SHARE,
                Some(Limit::Anonymous) => Purposes::ANONYMOUS,
                Some(Limit::Refused) => Purposes::NONE,
            },
            ..Word::SILENT
        }
    }

    fn of_analytics(granted: bool) -> Self {
        Self {
            granted,
            limit: (!granted).then_some(Limit::Refused),
        }
    }
}

impl Said {
    fn result(mut self) -> TagConsent {
        if self.unknown && !self.known {
            self.limit(Limit::Anonymous);
        }
        self.consent
    }

    fn limit(&mut self, limit: Limit) {
        self.consent.limit = self.consent.limit.max(Some(limit));
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
            _ => self.limit(Limit::Anonymous),
        }
    }

    /// RudderStack's allowed ids. An id that the source maps and that is missing is not allowed.
    /// A second list is not read: each costs a walk through the map, and their number is the
    /// client's choice.
    fn allowed(&mut self, value: &Json<'_>, map: &ConsentMap) {
        if std::mem::replace(&mut self.allowed, true) {
            self.limit(Limit::Anonymous);
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
                        _ => self.limit(Limit::Anonymous),
                    }
                }
            }
            _ => self.limit(Limit::Anonymous),
        }
    }

    /// One named purpose or category.
    fn purpose(&mut self, name: &str, value: &Json<'_>, map: &ConsentMap) {
        let meaning = map.get(name).copied().or_else(|| known(name));
        match (meaning, verdict(value)) {
            (_, None) => {}
            // More words in a form that is not known, below a name that says nothing.
            (Some(ConsentMeaning::Ignore), _)
                if matches!(value, Json::Array(_) | Json::Object(_)) =>
            {
                self.unknown = true;
            }
            (Some(meaning), Some(granted)) => self.meaning(meaning, granted),
            (None, Some(_)) => {
                self.unknown = true;
                if denies(value) {
                    self.limit(Limit::Anonymous);
                }
            }
        }
    }

    fn meaning(&mut self, meaning: ConsentMeaning, granted: bool) {
        self.known = true;
        match (meaning, granted) {
            (ConsentMeaning::Analytics, true) => self.consent.granted = true,
            (ConsentMeaning::Analytics, false) => self.limit(Limit::Refused),
            (ConsentMeaning::Advertising, false) => self.limit(Limit::NoShare),
            // It does not widen what the source's default allows.
            (ConsentMeaning::Advertising, true) | (ConsentMeaning::Ignore, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: TagConsent = TagConsent {
        granted: false,
        limit: None,
    };
    const GRANTED: TagConsent = granted(None);
    const GRANTED_NO_SHARE: TagConsent = granted(Some(Limit::NoShare));
    const GRANTED_ANONYMOUS: TagConsent = granted(Some(Limit::Anonymous));
    const NO_SHARE: TagConsent = only(Limit::NoShare);
    const ANONYMOUS: TagConsent = only(Limit::Anonymous);
    const REFUSED: TagConsent = only(Limit::Refused);

    const fn granted(limit: Option<Limit>) -> TagConsent {
        TagConsent {
            granted: true,
            limit,
        }
    }

    const fn only(limit: Limit) -> TagConsent {
        TagConsent {
            granted: false,
            limit: Some(limit),
        }
    }

    fn read(consent: &str, map: &ConsentMap) -> TagConsent {
        TagConsent::read(&serde_json::from_str(consent).unwrap(), map)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn the_strictest_word_wins() {
        for (consent, expected) in [
            ("null", NOTHING),
            ("{}", NOTHING),
            ("[]", NOTHING),
            ("\"yes\"", REFUSED),
            ("1", REFUSED),
            ("[true]", REFUSED),
            (r#"{"granted":1}"#, REFUSED),
            (r#"{"granted":"no"}"#, REFUSED),
            (r#"{"granted":null}"#, NOTHING),
            ("true", GRANTED),
            ("false", REFUSED),
            (r#"{"granted":true}"#, GRANTED),
            (r#"{"granted":true,"version":3,"at":"2026-01-01"}"#, GRANTED),
            (
                r#"{"granted":false,"analytics":"granted"}"#,
                granted(Some(Limit::Refused)),
            ),
            (r#"{"granted":"denied"}"#, REFUSED),
            (
                r#"{"analytics_storage":"granted","ad_storage":"denied"}"#,
                GRANTED_NO_SHARE,
            ),
            (
                r#"{"analytics_storage":"granted","functionality_storage":"denied"}"#,
                GRANTED,
            ),
            (
                r#"{"analytics_storage":"denied","ad_storage":"granted"}"#,
                REFUSED,
            ),
            (
                r#"{"categoryPreferences":{"Advertising":true,"Analytics":false}}"#,
                REFUSED,
            ),
            (
                r#"{"categoryPreferences":{"Advertising":false,"Functional":true}}"#,
                NO_SHARE,
            ),
            // What is denied or said in unknown words is no grant.
            (r#"{"functional":"denied"}"#, ANONYMOUS),
            (r#"{"granted":true,"profiling":false}"#, GRANTED_ANONYMOUS),
            (r#"{"granted":true,"profiling":0}"#, GRANTED_ANONYMOUS),
            (
                r#"{"categoryPreferences":{"C0001":true,"C0002":false,"C0004":false}}"#,
                ANONYMOUS,
            ),
            (r#"{"categoryPreferences":{"C0001":true}}"#, ANONYMOUS),
            (r#"{"categoryPreferences":{}}"#, ANONYMOUS),
            (r#"{"categoryPreferences":[]}"#, ANONYMOUS),
            (r#"{"preferences":{"analytics":false}}"#, ANONYMOUS),
            (r#"{"necessary":["analytics"]}"#, ANONYMOUS),
            // Advertising only limits, and what is neither says nothing.
            (r#"{"ads":true}"#, NOTHING),
            (r#"{"ads":false}"#, NO_SHARE),
            (r#"{"ads":true,"C0009":true}"#, NOTHING),
            (r#"{"allowedConsentIds":["marketing"]}"#, NOTHING),
            (r#"{"functionality_storage":"granted"}"#, NOTHING),
            (r#"{"analytics":null,"ads":null}"#, NOTHING),
            // Cookiebot's.
            (r#"{"necessary":true}"#, NOTHING),
            (r#"{"necessary":true,"marketing":false}"#, NO_SHARE),
            (
                r#"{"necessary":true,"preferences":false,"statistics":false,"marketing":true}"#,
                REFUSED,
            ),
            (
                r#"{"necessary":true,"preferences":true,"statistics":true,"marketing":false}"#,
                GRANTED_NO_SHARE,
            ),
            (
                r#"{"allowedConsentIds":["C0001"],"deniedConsentIds":["C0002","C0004"]}"#,
                ANONYMOUS,
            ),
            (r#"{"allowedConsentIds":["C0001"]}"#, ANONYMOUS),
            (r#"{"purposes":{"1":false}}"#, ANONYMOUS),
        ] {
            assert_eq!(read(consent, &ConsentMap::new()), expected, "{consent}");
        }
        assert_eq!(
            TagConsent::of_context(&Json::Null, &ConsentMap::new()),
            NOTHING
        );
    }

    #[test]
    fn a_map_gives_ids_their_meaning() {
        let map = ConsentMap::from([
            ("C0001".to_owned(), ConsentMeaning::Ignore),
            ("C0002".to_owned(), ConsentMeaning::Analytics),
            ("C0004".to_owned(), ConsentMeaning::Advertising),
        ]);
        for (consent, expected) in [
            (r#"{"categoryPreferences":{"C0001":true}}"#, NOTHING),
            (
                r#"{"categoryPreferences":{"C0001":true,"C0002":true,"C0004":true}}"#,
                GRANTED,
            ),
            (
                r#"{"categoryPreferences":{"C0002":true,"C0004":false}}"#,
                GRANTED_NO_SHARE,
            ),
            (
                r#"{"categoryPreferences":{"C0002":false,"C0004":true}}"#,
                REFUSED,
            ),
            (
                r#"{"categoryPreferences":{"C0002":true,"C0005":false}}"#,
                GRANTED_ANONYMOUS,
            ),
            (
                r#"{"allowedConsentIds":["C0001","C0002"],"deniedConsentIds":["C0004"]}"#,
                GRANTED_NO_SHARE,
            ),
            // Not among the allowed ones.
            (
                r#"{"allowedConsentIds":["C0001","C0002"]}"#,
                GRANTED_NO_SHARE,
            ),
            (r#"{"allowedConsentIds":["C0001"]}"#, REFUSED),
            (r#"{"allowedConsentIds":[]}"#, REFUSED),
            // Said twice is unclear.
            (
                r#"{"allowedConsentIds":["C0002","C0004"],"allowedConsentIds":["C0002","C0004"]}"#,
                GRANTED_ANONYMOUS,
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
            GRANTED_ANONYMOUS
        );
    }
}
