//! What clients get: results after the receipt, statuses, keys, CORS, images.

use super::client::{Client, ask, events, eventually, get, post, request};
use crate::catalog::Catalog;
use crate::core::Refused;
use crate::edge::RuntimeCatalog;
use crate::edge::fake::{Served, web_source};
use base64::Engine;
use std::sync::Arc;
use tidegate_event::Outcome;

const EVENT: &str = r#"{"type":"track","event":"Seen","anonymousId":"a1","messageId":"m1"}"#;

#[tokio::test]
async fn a_good_event_is_answered_with_its_outcome() {
    let served = Served::start().await;
    let answer = ask(served.address, &events(EVENT)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        std::str::from_utf8(&answer.body).unwrap(),
        r#"{"success":true,"results":[{"message_id":"m1","outcome":"accepted"}]}"#
    );
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 1);
    assert_eq!(served.balance(), (1, 1));
}

#[tokio::test]
async fn no_answer_comes_before_the_receipt() {
    let served = Served::start().await;
    served.core.set_durable(Ok(0));
    let mut client = Client::to(served.address).await;
    client.send(&events(EVENT)).await;
    eventually(|| !served.core.seen().is_empty()).await;
    // Another request is served meanwhile, yet this one waits and is not counted.
    assert_eq!(ask(served.address, &get("/healthz", &[])).await.status, 200);
    assert_eq!(served.balance(), (1, 0));
    served.core.set_durable(Ok(1));
    assert_eq!(client.answer().await.outcomes(), ["accepted"]);
    assert_eq!(served.balance(), (1, 1));
}

#[tokio::test]
async fn a_second_copy_is_a_duplicate_and_a_success() {
    let served = Served::start().await;
    let batch = format!(r#"{{"batch":[{EVENT},{EVENT}]}}"#);
    let answer = ask(served.address, &events(batch)).await;
    assert_eq!(
        (answer.status, answer.json()["success"].clone()),
        (200, true.into())
    );
    assert_eq!(answer.outcomes(), ["accepted", "duplicate"]);
    assert_eq!(served.outcomes.ended(Outcome::Duplicate), 1);
}

#[tokio::test]
async fn without_room_nothing_is_acked_and_the_client_told_when_to_come_again() {
    let served = Served::start().await;
    served.core.refuse(Some(Refused::Full { retry_after_s: 9 }));
    let answer = ask(served.address, &events(EVENT)).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("9"))
    );
    assert_eq!(answer.outcomes(), ["overloaded"]);
    assert_eq!(answer.json()["code"], "overloaded");

    served.core.refuse(None);
    served
        .core
        .set_durable(Err(Refused::Unacknowledged { retry_after_s: 5 }));
    let answer = ask(served.address, &events(EVENT)).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("5"))
    );
    assert_eq!(
        answer.json()["results"][0]["reason"],
        "kafka did not acknowledge the event in time, retry in 5 s"
    );

    served.core.refuse(Some(Refused::Store));
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 500);
    served.core.refuse(Some(Refused::TooLarge));
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 413);
    assert_eq!(served.balance(), (4, 4));
}

#[tokio::test]
async fn each_outcome_is_remembered_with_the_status_of_its_answer() {
    let served = Served::start().await;
    let batch = format!(r#"{{"batch":[{EVENT},{{"type":"nonsense","messageId":"m2"}}]}}"#);
    assert_eq!(ask(served.address, &events(batch)).await.status, 200);
    assert_eq!(ask(served.address, &events("{")).await.status, 400);
    let kept = served.recent.last(3, None).into_iter();
    let ends: Vec<_> = kept.map(|one| (one.outcome, one.status)).collect();
    assert_eq!(
        ends,
        [
            (Outcome::Invalid, Some(400)),
            (Outcome::Invalid, Some(200)),
            (Outcome::Accepted, Some(200)),
        ]
    );
}

#[tokio::test]
async fn a_request_refused_as_a_whole_is_remembered_with_its_path() {
    let served = Served::start_with(|settings| settings.edge.body_timeout_ms = 30).await;
    let stranger = post("/v1/events?writeKey=nope", &[], EVENT);
    assert_eq!(ask(served.address, &stranger).await.status, 401);
    assert_eq!(ask(served.address, &events("{")).await.status, 400);
    let whole = events(EVENT);
    let mut slow = Client::to(served.address).await;
    slow.send(&whole[..whole.len() - 5]).await;
    assert_eq!(slow.answer().await.status, 408);
    let mut cut = Client::to(served.address).await;
    cut.send(&whole[..whole.len() - 5]).await;
    cut.finish_sending().await;
    eventually(|| served.recent.last(10, None).len() == 4).await;
    let pixel = get("/v1/pixel.gif?writeKey=nope&type=page", &[]);
    assert_eq!(ask(served.address, &pixel).await.status, 401);
    let kept = served.recent.last(10, None).into_iter();
    let paths: Vec<_> = kept.map(|one| one.path.unwrap()).collect();
    let events = "/v1/events";
    assert_eq!(paths, ["/v1/pixel.gif", events, events, events, events]);
}

#[tokio::test]
async fn a_failed_receipt_is_never_a_success() {
    let served = Served::start().await;
    served.core.set_durable(Err(Refused::Stopped));
    let batch = format!(r#"{{"batch":[{EVENT},{EVENT},{{"type":"nonsense"}}]}}"#);
    let answer = ask(served.address, &events(batch)).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(answer.outcomes(), ["overloaded", "overloaded", "invalid"]);
    assert_eq!(served.outcomes.ended(Outcome::Overloaded), 2);
    assert_eq!(served.balance(), (3, 3));
}

#[tokio::test]
async fn the_write_key_is_taken_from_each_of_its_places() {
    let served = Served::start().await;
    let with_key = r#"{"type":"page","anonymousId":"a","writeKey":"shop-key"}"#;
    let with_wrong = r#"{"type":"page","anonymousId":"a","writeKey":"nope"}"#;
    let basic = "authorization: Basic c2hvcC1rZXk6";
    let wrong_basic = "authorization: Basic bm9wZTo=";
    for (path, headers, body, expected) in [
        ("/v1/events", &[][..], with_key, 200),
        ("/v1/events", &[basic], EVENT, 200),
        ("/v1/events?writeKey=shop-key", &[], EVENT, 200),
        ("/v1/events?write_key=crm-key", &[], EVENT, 200),
        ("/v1/events", &[], EVENT, 401),
        ("/v1/events", &[], with_wrong, 401),
        ("/v1/events", &[wrong_basic], with_key, 401),
        ("/v1/events?writeKey=nope", &[], "not even JSON", 401),
    ] {
        let answer = ask(served.address, &post(path, headers, body)).await;
        assert_eq!(answer.status, expected, "{path} {headers:?} {body}");
        if expected == 401 {
            assert_eq!(answer.json()["code"], "unauthorized");
        }
    }
    assert_eq!(served.outcomes.ended(Outcome::Unauthorized), 4);
    assert_eq!(served.balance(), (8, 8));
    assert!(
        served.bad_rows.last(10).unwrap().is_empty(),
        "a stranger's rows are kept"
    );
}

#[tokio::test]
async fn a_catalog_change_counts_from_the_next_request_on() {
    let served = Served::start().await;
    let mut client = Client::to(served.address).await;
    assert_eq!(client.ask(&events(EVENT)).await.status, 200);
    let mut renamed = web_source();
    renamed.write_key = "new-key".to_owned();
    served.catalog.store(Arc::new(RuntimeCatalog::new(&Catalog {
        sources: vec![renamed],
        ..Catalog::default()
    })));
    assert_eq!(client.ask(&events(EVENT)).await.status, 401);
    let renamed = post("/v1/events?writeKey=new-key", &[], EVENT);
    assert_eq!(client.ask(&renamed).await.status, 200);
}

#[tokio::test]
async fn cross_origin_headers_stand_on_every_answer() {
    let served = Served::start().await;
    let origin = "origin: https://any.example";
    for path in ["/v1/events", "/nowhere", "/v1/pixel.gif"] {
        let headers = [
            origin,
            "access-control-request-headers: authorization,sentat",
        ];
        let answer = ask(served.address, &request("OPTIONS", path, &headers, b"")).await;
        assert_eq!(answer.status, 200);
        let allowed = answer.header("access-control-allow-headers");
        assert_eq!(allowed, Some("authorization,sentat"));
        assert_eq!(answer.header("access-control-max-age"), Some("3600"));
    }
    for (request, status) in [
        (post("/v1/events", &[origin], EVENT), 401),
        (post("/v1/events?writeKey=shop-key", &[origin], "{"), 400),
        (post("/v1/events?writeKey=shop-key", &[origin], EVENT), 200),
        (get("/nowhere", &[origin]), 404),
    ] {
        let answer = ask(served.address, &request).await;
        assert_eq!(answer.status, status);
        let echoed = answer.header("access-control-allow-origin");
        assert_eq!(echoed, Some("https://any.example"));
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            Some("true")
        );
        assert_eq!(
            answer.header("access-control-expose-headers"),
            Some("Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset")
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    assert_eq!(served.balance(), (3, 3), "a preflight is no event");
}

#[tokio::test]
async fn a_pixel_is_an_image_whatever_happens() {
    let served = Served::start().await;
    let key = "writeKey=shop-key";
    let data = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(EVENT);
    let plain = format!("/v1/pixel.gif?{key}&type=track&event=Seen&anonymousId=a1");
    let packed = format!("/v1/pixel.gif?{key}&data={data}");
    for (path, expected) in [
        (plain.as_str(), 200),
        (packed.as_str(), 200),
        ("/v1/pixel.gif?type=track", 401),
        ("/v1/pixel.gif", 400),
        ("/v1/pixel.gif?writeKey=shop-key&type=track", 400),
        ("/v1/pixel.gif?writeKey=shop-key&data=%21%21", 400),
    ] {
        let answer = ask(served.address, &get(path, &[])).await;
        assert_eq!(answer.status, expected, "{path}");
        assert_eq!(answer.header("content-type"), Some("image/gif"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!((answer.body.len(), &answer.body[..6]), (43, &b"GIF89a"[..]));
    }
    served.core.refuse(Some(Refused::Full { retry_after_s: 3 }));
    let answer = ask(served.address, &get(&plain, &[])).await;
    assert_eq!((answer.status, answer.body.len()), (503, 43));
    assert_eq!(answer.header("retry-after"), Some("3"));
    let (received, ended) = served.balance();
    assert_eq!(received, ended);
}

#[tokio::test]
async fn refused_consent_counts_as_success_and_stores_nothing() {
    let served = Served::start().await;
    let answer = ask(
        served.address,
        &post("/v1/events?writeKey=strict-key", &[], EVENT),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.outcomes(), ["consent_denied"]);
    assert_eq!(answer.header("set-cookie"), None);
    assert!(served.core.seen().is_empty());
    assert!(served.bad_rows.last(10).unwrap().is_empty());
    assert_eq!(served.balance(), (1, 1));
}

#[tokio::test]
async fn other_paths_and_methods_are_told_apart() {
    let served = Served::start_with(|settings| settings.edge.path_prefix = "/t".to_owned()).await;
    for (method, path, expected) in [
        ("GET", "/healthz", 200),
        ("HEAD", "/healthz", 200),
        ("GET", "/t/healthz/", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/events", 405),
        ("HEAD", "/v1/segments", 405),
        ("PUT", "/t/tag.js", 405),
    ] {
        let mut client = Client::to(served.address).await;
        client
            .send(&request(method, path, &["connection: close"], b""))
            .await;
        client.finish_sending().await;
        let answer = if method == "HEAD" {
            client.head().await
        } else {
            client.answer().await
        };
        assert_eq!(answer.status, expected, "{method} {path}");
        assert_eq!(answer.header("allow").is_some(), expected == 405);
    }
    assert_eq!(served.balance(), (0, 0));
}

#[tokio::test]
async fn repeated_slashes_reach_the_same_endpoint() {
    let served = Served::start().await;
    let path = "//v1/events?writeKey=shop-key";
    let answer = ask(served.address, &post(path, &[], EVENT)).await;
    assert_eq!(answer.outcomes(), ["accepted"]);
    assert_eq!(served.balance(), (1, 1));
    let tag = ask(served.address, &get("/tag.js", &[])).await;
    let version = tag.header("etag").unwrap().trim_matches('"').to_owned();
    let address = served.address;
    let cached = |path: String| async move {
        let answer = ask(address, &get(&path, &[])).await;
        assert_eq!(answer.status, 200, "{path}");
        answer.header("cache-control").unwrap().to_owned()
    };
    let kept = cached(format!("/tag.{version}.js")).await;
    assert!(kept.contains("immutable"), "{kept}");
    assert_eq!(cached(format!("//tag.{version}.js")).await, kept);
}

#[tokio::test]
async fn once_the_gateway_is_about_to_stop_probes_are_told_so_and_hits_are_still_taken() {
    let served = Served::start().await;
    let mut prober = Client::to(served.address).await;
    assert_eq!(prober.ask(&get("/healthz", &[])).await.status, 200);
    served.drain();
    let answer = prober.ask(&get("/healthz", &[])).await;
    assert_eq!(
        (answer.status, answer.json()["status"].clone()),
        (503, "draining".into())
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 200);
}

#[tokio::test]
async fn health_fails_while_the_disk_hangs() {
    let served = Served::start().await;
    let mut prober = Client::to(served.address).await;
    served.hang(true);
    let answer = prober.ask(&get("/healthz", &[])).await;
    assert_eq!(
        (answer.status, answer.json()["status"].clone()),
        (503, "disk_hangs".into())
    );
    served.hang(false);
    assert_eq!(prober.ask(&get("/healthz", &[])).await.status, 200);
}

#[tokio::test]
async fn a_head_of_the_pixel_is_its_get_without_the_image() {
    let served = Served::start().await;
    let good = "/v1/pixel.gif?writeKey=shop-key&type=track&event=Seen&anonymousId=a1";
    let mut client = Client::to(served.address).await;
    for (path, expected) in [(good, 200), ("/v1/pixel.gif", 400)] {
        client.send(&request("HEAD", path, &[], b"")).await;
        let answer = client.head().await;
        assert_eq!(answer.status, expected, "{path}");
        assert_eq!(answer.header("content-type"), Some("image/gif"));
        assert_eq!(answer.header("content-length"), Some("43"));
    }
    // The next answer follows at once: no image came in between.
    assert_eq!(client.ask(&get("/healthz", &[])).await.status, 200);
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 1);
    assert_eq!(served.balance(), (2, 2));
}

#[tokio::test]
async fn the_tag_is_served_once_and_then_known() {
    let served = Served::start().await;
    let answer = ask(served.address, &get("/tag.js", &[])).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/javascript")
    );
    assert!(answer.body.len() > 500, "{}", answer.body.len());
    let known = format!("if-none-match: {}", answer.header("etag").unwrap());
    let again = ask(served.address, &get("/tag.js", &[&known])).await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}
