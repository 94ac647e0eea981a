//! The identifiers of a hit in the order in which profiles are looked for.

use tidegate_event::identity::Identifiers;
use tidegate_event::record::Namespace;

use super::kinds::Kind;

/// Highest priority first; one may stand there twice.
pub(crate) fn by_priority<'a>(
    ids: &'a Identifiers<'_>,
) -> impl Iterator<Item = (Namespace, &'a str)> {
    let device = Namespace::AnonymousId;
    let mut all = [
        (Namespace::UserId, &ids.user_id),
        (device, &ids.anonymous_id),
        (device, &ids.linked_cookie_id),
        (device, &ids.previous_id),
    ];
    // Within a kind the order stays.
    all.sort_by_key(|(namespace, _)| Kind::of(*namespace).priority());
    all.into_iter()
        .filter_map(|(namespace, id)| Some((namespace, id.as_deref()?)))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn the_person_comes_before_the_devices() {
        let ids = Identifiers {
            anonymous_id: Some(Cow::Borrowed("device")),
            user_id: Some(Cow::Borrowed("person")),
            linked_cookie_id: None,
            previous_id: Some(Cow::Borrowed("previous")),
            minted: false,
        };
        let names: Vec<_> = by_priority(&ids).map(|(_, id)| id).collect();
        assert_eq!(names, ["person", "device", "previous"]);
    }
}
