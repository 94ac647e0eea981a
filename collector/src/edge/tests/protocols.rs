//! A protocol that the edge has never heard of is served as its folder declares it.

use super::client::{ask, events, eventually, get, post, request};
use crate::edge::fake::Served;
use crate::edge::tests::client::Answer;
use tidegate_event::Outcome;

const KEY: &str = "x-stub-key: shop-key";

fn visitors(served: &Served) -> Vec<Option<String>> {
    let seen = served.core.seen().into_iter();
    seen.map(|seen| seen.anonymous_id).collect()
}

#[tokio::test]
async fn the_stub_is_decoded_and_answered() {
    let served = Served::start().await;
    let answer = ask(
        served.address,
        &post("/stub", &[KEY], "ann/Seen\nbob/Bought"),
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.outcomes(), ["accepted", "accepted"]);
    assert_eq!(answer.json()["results"][1]["message_id"], "bob/Bought");
    let expected = ["ann", "bob"].map(|id| Some(id.to_owned()));
    assert_eq!(visitors(&served), expected);
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 2);
    assert_eq!(served.balance(), (2, 2));
}

#[tokio::test]
async fn the_stubs_second_path_answers_with_the_image() {
    let served = Served::start().await;
    let is_image = |answer: &Answer| {
        assert_eq!(answer.header("content-type"), Some("image/gif"));
        assert_eq!(answer.body.len(), 43);
    };
    for (path, headers, status) in [
        ("/stub.gif?ann/Seen", &[KEY][..], 200),
        ("/stub.gif", &[KEY], 400),
        ("/stub.gif?ann/Seen", &[], 401),
    ] {
        let answer = ask(served.address, &get(path, headers)).await;
        assert_eq!(answer.status, status, "{path}");
        is_image(&answer);
    }
    assert_eq!(visitors(&served), [Some("ann".to_owned())]);
    assert_eq!(served.balance(), (3, 3));
}

#[tokio::test]
async fn a_key_opens_only_where_its_protocol_says() {
    let served = Served::start().await;
    for refused in [
        post("/stub?writeKey=shop-key", &[], "ann/Seen"),
        post("/stub", &["authorization: Basic c2hvcC1rZXk6"], "ann/Seen"),
        post("/v1/events", &[KEY], "{\"type\":\"page\"}"),
    ] {
        let answer = ask(served.address, &refused).await;
        assert_eq!((answer.status, served.core.seen().len()), (401, 0));
    }
    assert_eq!(
        ask(served.address, &events("{\"type\":\"page\"}"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn paths_and_methods_follow_from_the_declaration() {
    let served = Served::start_with(|settings| settings.edge.path_prefix = "/t".to_owned()).await;
    for (method, path, status, allow) in [
        ("GET", "/stub", 405, Some("POST, OPTIONS")),
        ("GET", "/t//stub/", 405, Some("POST, OPTIONS")),
        ("POST", "/stub.gif", 405, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/t/stub", 200, None),
        ("GET", "/x/stub", 404, None),
    ] {
        let answer = ask(served.address, &request(method, path, &[], b"")).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
    assert_eq!(served.balance(), (0, 0), "none of these is an event");
}

#[tokio::test]
async fn an_event_of_any_protocol_may_become_a_bad_row() {
    let served = Served::start().await;
    let answer = ask(served.address, &post("/stub", &[KEY], "ann/\nbob/Seen")).await;
    assert_eq!(answer.outcomes(), ["invalid", "accepted"]);
    let kept = served.bad_rows.clone();
    eventually(|| kept.last(10).unwrap().len() == 1).await;
    let row = kept.last(10).unwrap().remove(0);
    assert!(
        row.contains("$.batch[0].event") && row.contains("***"),
        "{row}"
    );
    assert!(!row.contains("ann"), "{row}");
    assert_eq!(served.balance(), (2, 2));
}
