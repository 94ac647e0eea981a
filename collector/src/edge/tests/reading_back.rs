//! `GET /v1/segments`: who may read about whom.

use super::client::{Answer, ask, get};
use crate::core::Refused;
use crate::edge::fake::Served;

const COOKIE: &str = "cookie: tg_vid=0123456789abcdef0123456789abcdef";
const ORIGIN: &str = "origin: https://shop.example";

async fn read(served: &Served, query: &str, headers: &[&str]) -> Answer {
    ask(
        served.address,
        &get(&format!("/v1/segments?{query}"), headers),
    )
    .await
}

#[tokio::test]
async fn a_page_reads_its_own_visitor_by_the_cookie() {
    let served = Served::start().await;
    let answer = read(&served, "writeKey=shop-key", &[COOKIE, ORIGIN]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        std::str::from_utf8(&answer.body).unwrap(),
        "{\"segments\":[\"pricing \\\"a\\\"\",\
         \"anonymous 0123456789abcdef0123456789abcdef\"],\"as_of\":7}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://shop.example")
    );
    let unknown = read(&served, "writeKey=shop-key", &[ORIGIN]).await;
    assert_eq!(
        (unknown.status, unknown.json()["segments"].clone()),
        (200, serde_json::json!([]))
    );
    assert_eq!(served.balance(), (0, 0), "reading back is no event");
}

#[tokio::test]
async fn knowing_an_id_is_no_right_to_read() {
    let served = Served::start().await;
    for (query, headers, expected) in [
        ("", &[COOKIE, ORIGIN][..], 401),
        ("writeKey=nope", &[COOKIE, ORIGIN], 401),
        ("writeKey=shop-key", &[COOKIE], 403),
        (
            "writeKey=shop-key",
            &[COOKIE, "origin: https://evil.example"],
            403,
        ),
        ("writeKey=shop-key", &[COOKIE, "origin: null"], 403),
        (
            "writeKey=shop-key",
            &[COOKIE, "origin: http://shop.example"],
            403,
        ),
        (
            "writeKey=shop-key",
            &[COOKIE, "sec-fetch-site: same-origin"],
            403,
        ),
        ("writeKey=shop-key&anonymous_id=a1", &[COOKIE, ORIGIN], 403),
        ("writeKey=shop-key&user_id=u1", &[ORIGIN], 403),
        ("writeKey=shop-key&userId=u1", &[COOKIE, ORIGIN], 403),
        ("writeKey=crm-key", &[COOKIE, ORIGIN], 400),
    ] {
        let answer = read(&served, query, headers).await;
        assert_eq!(answer.status, expected, "{query} {headers:?}");
        assert!(answer.json()["code"].is_string());
    }
}

#[tokio::test]
async fn a_server_names_the_visitor() {
    let served = Served::start().await;
    for (query, expected) in [
        ("writeKey=crm-key&anonymous_id=a%201", "anonymous a 1"),
        ("writeKey=crm-key&user_id=u1", "user u1"),
        // As events spell them.
        ("writeKey=crm-key&anonymousId=a%201", "anonymous a 1"),
        ("writeKey=crm-key&userId=u1", "user u1"),
    ] {
        let answer = read(&served, query, &[COOKIE]).await;
        assert_eq!(
            (answer.status, answer.json()["segments"][1].clone()),
            (200, expected.into())
        );
    }
}

#[tokio::test]
async fn a_page_on_our_own_host_needs_that_host_registered() {
    let served = Served::start().await;
    let path = "/v1/segments?writeKey=shop-key";
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\nsec-fetch-site: same-origin\r\n\r\n");
    assert_eq!(ask(served.address, request.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn a_store_that_fails_is_told_as_such() {
    let served = Served::start().await;
    served.core.refuse(Some(Refused::Store));
    let answer = read(&served, "writeKey=crm-key&user_id=u1", &[]).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
}

#[tokio::test]
async fn the_cookie_is_read_only_with_consent() {
    let served = Served::start().await;
    for (query, gpc, is_read) in [
        ("writeKey=shop-key", None, true),
        ("writeKey=shop-key", Some("sec-gpc: 1"), false),
        (
            "writeKey=shop-key&consent=granted",
            Some("sec-gpc: 1"),
            false,
        ),
        ("writeKey=shop-key&consent=denied", None, false),
        ("writeKey=strict-key", None, false),
        ("writeKey=strict-key&consent=granted", None, true),
        (
            "writeKey=strict-key&consent=%7B%22ads%22:true%7D",
            None,
            false,
        ),
    ] {
        let headers: Vec<_> = [COOKIE, ORIGIN].into_iter().chain(gpc).collect();
        let answer = read(&served, query, &headers).await;
        assert_eq!(answer.status, 200, "{query}");
        let segments = answer.json()["segments"].as_array().unwrap().len();
        assert_eq!(segments > 0, is_read, "{query} {gpc:?}");
    }
}
