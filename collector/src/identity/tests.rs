//! Step 3 on hits that consent allows identifiers.

use tidegate_event::Identity;
use tidegate_event::identity::Identifiers;

use super::{CookieAction, CookieFacts, Placeholders, cookie_id, identify, is_cookie_id};
use crate::catalog::Source;
use crate::consent::{Signals, resolve};
use crate::fixture::{self, hit};

const BROUGHT: &str = "00112233445566778899aabbccddeeff";

fn source() -> Source {
    fixture::source(1_800_000)
}

fn identities<'a>(body: &'a str, cookie: &CookieFacts<'a>) -> (Identifiers<'a>, CookieAction) {
    let consented = resolve(hit(body), &Signals::default(), &source()).unwrap();
    let (identified, action) = identify(consented, cookie, &Placeholders::default(), &mut || 0xabc);
    match identified.identity {
        Identity::Known(ids) => (ids, action),
        Identity::Anonymous => panic!("consent was granted"),
    }
}

fn cookie(brought: Option<&str>, distinct: usize) -> CookieFacts<'_> {
    CookieFacts {
        brought,
        distinct_anonymous_ids_in_request: distinct,
        allowed: true,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn the_visitor_is_the_anonymous_id_else_the_cookie_else_minted() {
    let minted = cookie_id(0xabc);
    let set = CookieAction::Set(minted.clone());
    // (event, cookie) -> (anonymous id, user id, linked cookie, minted), cookie action
    for (ids, brought, distinct, expected, action) in [
        // An anonymousId and no cookie: a new cookie, stored nowhere yet.
        (
            r#""anonymousId":"a""#,
            None,
            1,
            (Some("a"), None, None, false),
            &set,
        ),
        // The cookie came back: linked, and not set again.
        (
            r#""anonymousId":"a""#,
            Some(BROUGHT),
            1,
            (Some("a"), None, Some(BROUGHT), false),
            &CookieAction::Keep,
        ),
        // Two anonymousIds in one request: whose cookie is it?
        (
            r#""anonymousId":"a""#,
            Some(BROUGHT),
            2,
            (Some("a"), None, None, false),
            &CookieAction::Keep,
        ),
        // Only the cookie.
        (
            r#""x":1"#,
            Some(BROUGHT),
            0,
            (Some(BROUGHT), None, None, false),
            &CookieAction::Keep,
        ),
        (
            r#""userId":"u""#,
            Some(BROUGHT),
            0,
            (Some(BROUGHT), Some("u"), None, false),
            &CookieAction::Keep,
        ),
        // Nothing at all: the minted id is the only one.
        (
            r#""x":1"#,
            None,
            0,
            (Some(&*minted), None, None, true),
            &set,
        ),
        // A person without a device: the minted id waits until it comes back.
        (
            r#""userId":"u""#,
            None,
            0,
            (None, Some("u"), None, false),
            &set,
        ),
        // Blocked values are no ids.
        (
            r#""anonymousId":"NULL","userId":"000-000""#,
            None,
            1,
            (Some(&*minted), None, None, true),
            &set,
        ),
    ] {
        let body = format!("{{\"type\":\"page\",{ids}}}");
        let (found, done) = identities(&body, &cookie(brought, distinct));
        let seen = (
            found.anonymous_id.as_deref(),
            found.user_id.as_deref(),
            found.linked_cookie_id.as_deref(),
            found.minted,
        );
        assert_eq!(seen, expected, "{body} {brought:?} {distinct}");
        assert_eq!(&done, action, "{body} {brought:?} {distinct}");
    }
}

#[test]
fn a_cookie_equal_to_the_anonymous_id_links_nothing() {
    let body = format!(r#"{{"type":"page","anonymousId":"{BROUGHT}"}}"#);
    let (found, _) = identities(&body, &cookie(Some(BROUGHT), 1));
    assert_eq!(found.linked_cookie_id, None);
}

#[test]
fn server_side_events_neither_read_nor_set_a_cookie() {
    let barred = CookieFacts {
        allowed: false,
        ..cookie(Some(BROUGHT), 1)
    };
    for (body, cookie) in [
        (r#"{"type":"page"}"#, &barred),
        (
            r#"{"type":"page","channel":"server"}"#,
            &cookie(Some(BROUGHT), 1),
        ),
    ] {
        let (found, action) = identities(body, cookie);
        // Some id it must have: a minted one that nobody is told.
        assert_eq!(found.anonymous_id, Some(cookie_id(0xabc).into()));
        assert!(found.minted);
        assert_eq!(action, CookieAction::Keep);
        let known = body.replace(
            "\"page\"",
            "\"page\",\"userId\":\"u\",\"anonymousId\":\"a\"",
        );
        let (found, action) = identities(&known, cookie);
        assert_eq!(found.linked_cookie_id, None);
        assert_eq!(action, CookieAction::Keep);
    }
}

#[test]
fn nothing_is_minted_without_need() {
    let body = r#"{"type":"page","anonymousId":"a"}"#;
    let consented = resolve(hit(body), &Signals::default(), &source()).unwrap();
    let mut minted = 0;
    identify(
        consented,
        &cookie(Some(BROUGHT), 1),
        &Placeholders::default(),
        &mut || {
            minted += 1;
            1
        },
    );
    assert_eq!(minted, 0);
}

#[test]
fn placeholders_are_no_identifiers() {
    for id in [
        "true",
        "guest",
        "not_authenticated",
        "{{user.id}}",
        "[]",
        "{}",
    ] {
        let body = format!(r#"{{"type":"identify","anonymousId":"a","userId":"{id}"}}"#);
        let (found, _) = identities(&body, &cookie(None, 0));
        assert_eq!(
            (found.user_id, found.anonymous_id.as_deref()),
            (None, Some("a"))
        );
        // The same value names no device either.
        let body = format!(r#"{{"type":"page","anonymousId":"{id}"}}"#);
        let (found, _) = identities(&body, &cookie(Some(BROUGHT), 1));
        assert_eq!(found.anonymous_id.as_deref(), Some(BROUGHT), "{id}");
    }
    let body = r#"{"type":"alias","previousId":"undefined","userId":"u"}"#;
    assert_eq!(identities(body, &cookie(None, 0)).0.previous_id, None);
    let body = r#"{"type":"alias","previousId":"p","userId":"u"}"#;
    let (found, _) = identities(body, &cookie(None, 0));
    assert_eq!(found.previous_id.as_deref(), Some("p"));
}

#[test]
fn only_ids_that_we_could_have_minted_are_cookie_ids() {
    assert!(is_cookie_id(BROUGHT));
    assert!(is_cookie_id(&cookie_id(1)));
    for id in [
        "",
        "00112233445566778899aabbccddeef",
        "00112233445566778899aabbccddeeff0",
        "00112233445566778899AABBCCDDEEFF",
        "0011223344556677-899aabbccddeeff",
        "00000000000000000000000000000000",
    ] {
        assert!(!is_cookie_id(id), "{id}");
    }
}
