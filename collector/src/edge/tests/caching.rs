//! What a cache between us and the browser is told.

use super::client::{ask, events, get, request};
use crate::edge::fake::Served;

const EVENT: &str = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;

#[tokio::test]
async fn the_tag_may_be_kept_and_its_versioned_path_for_ever() {
    let served = Served::start_with(|settings| settings.edge.path_prefix = "/t".to_owned()).await;
    let tag = ask(served.address, &get("/tag.js", &[])).await;
    let etag = tag.header("etag").unwrap();
    let hash = etag.trim_matches('"');
    let forever = Some("public, max-age=31536000, immutable");
    let a_while = Some("public, max-age=300");
    for (path, expected) in [
        ("/tag.js".to_owned(), a_while),
        ("/t/tag.js".to_owned(), a_while),
        (format!("/tag.{hash}.js"), forever),
        (format!("/t/tag.{hash}.js"), forever),
        ("/tag.0123456789abcdef.js".to_owned(), a_while),
    ] {
        let answer = ask(served.address, &get(&path, &["origin: https://a.example"])).await;
        assert_eq!(
            (answer.status, answer.body == tag.body),
            (200, true),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), expected, "{path}");
        assert_eq!(answer.header("etag"), Some(etag), "{path}");
        // The same for every page: one copy in a cache does for all.
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("vary"), None);
    }
    for known in [
        etag.to_owned(),
        format!("W/{etag}"),
        format!("\"x\", W/{etag}"),
    ] {
        let known = format!("if-none-match: {known}");
        let answer = ask(served.address, &get("/tag.js", &[&known])).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("cache-control"), a_while);
    }
}

#[tokio::test]
async fn hits_answers_and_probes_are_never_kept() {
    let served = Served::start().await;
    for request in [
        events(EVENT),
        events("{"),
        get("/v1/pixel.gif?writeKey=shop-key&event=Seen", &[]),
        get("/v1/segments?writeKey=crm-key&user_id=u", &[]),
        get("/healthz", &[]),
        get("/nowhere", &[]),
        request("PUT", "/tag.js", &[], b""),
        request("OPTIONS", "/v1/events", &["origin: https://a.example"], b""),
        request("OPTIONS", "/tag.js", &[], b""),
    ] {
        let answer = ask(served.address, &request).await;
        let told = answer.header("cache-control");
        assert_eq!(told, Some("no-store"), "{}", request.escape_ascii());
    }
    let health = ask(served.address, &get("/healthz", &[])).await;
    assert_eq!(
        (health.status, health.body),
        (200, b"{\"status\":\"ok\"}".to_vec())
    );
}
