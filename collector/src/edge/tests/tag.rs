//! The tag at a path of its own: where it sends to is served, and caches may keep it.

use super::client::{Answer, ask, get, post};
use crate::edge::fake::Served;
use crate::settings;

const EVENT: &str = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;

fn paths(edge: &mut settings::Edge, prefix: &str, tag: &str, events: Option<&str>) {
    edge.path_prefix = prefix.to_owned();
    edge.paths.tag = Some(tag.to_owned());
    edge.paths.events = events.map(str::to_owned);
}

/// Where the script at `path` sends to, as a browser makes it out.
fn target(path: &str, script: &Answer) -> String {
    let text = std::str::from_utf8(&script.body).unwrap();
    let (_, rest) = text.split_once(r#".replace(/[^/]*$/,""))+""#).unwrap();
    let (way, _) = rest.split_once('"').unwrap();
    let mut folders: Vec<&str> = path.split('/').collect();
    folders.pop();
    for part in way.split('/') {
        if part == ".." {
            folders.pop();
        } else {
            folders.push(part);
        }
    }
    folders.join("/")
}

#[tokio::test]
async fn wherever_the_tag_is_served_it_sends_to_a_path_that_takes_events() {
    for (prefix, tag, events, expected) in [
        ("", "/assets/site.js", Some("/assets/e"), "/assets/e"),
        ("", "/site.js", Some("/a/b/e"), "/a/b/e"),
        ("/t", "/assets/js/site", Some("/e"), "/e"),
        ("", "/assets/site.js", None, "/v1/events"),
        ("/t", "/assets/site.js", None, "/t/v1/events"),
    ] {
        let served =
            Served::start_with(|settings| paths(&mut settings.edge, prefix, tag, events)).await;
        let beside = format!("{prefix}/v1/events");
        for (path, expected) in [
            (tag.to_owned(), expected),
            ("/tag.js".to_owned(), "/v1/events"),
            (format!("{prefix}/tag.js"), beside.as_str()),
        ] {
            let script = ask(served.address, &get(&path, &[])).await;
            let to = target(&path, &script);
            assert_eq!(to, expected, "{path}");
            let sent = post(&format!("{to}?writeKey=shop-key"), &[], EVENT);
            assert_eq!(ask(served.address, &sent).await.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn the_tag_at_its_own_path_has_a_version_for_ever_until_it_sends_elsewhere() {
    let tag = "/assets/site.js";
    let mut served = Served::start_with(|settings| {
        paths(&mut settings.edge, "", tag, Some("/assets/e"));
    })
    .await;
    let forever = Some("public, max-age=31536000, immutable");
    let a_while = Some("public, max-age=300");
    let first = ask(served.address, &get(tag, &[])).await;
    assert_eq!(first.header("cache-control"), a_while);
    let built = ask(served.address, &get("/tag.js", &[])).await;
    assert_ne!(first.header("etag"), built.header("etag"));
    let hash = first.header("etag").unwrap().trim_matches('"').to_owned();
    let version = format!("/assets/site.{hash}.js");
    let kept = ask(served.address, &get(&version, &[])).await;
    assert_eq!(kept.header("cache-control"), forever);
    assert_eq!((kept.status, &kept.body), (200, &first.body));
    assert_eq!(kept.header("etag"), first.header("etag"));
    let known = format!("if-none-match: \"{hash}\"");
    assert_eq!(ask(served.address, &get(tag, &[&known])).await.status, 304);

    served.renew(|settings| paths(&mut settings.edge, "", tag, Some("/assets/f")));
    let after = ask(served.address, &get(&version, &[&known])).await;
    assert_eq!(
        (after.status, target(&version, &after).as_str()),
        (200, "/assets/f")
    );
    assert_eq!(after.header("cache-control"), a_while, "another version");
}
