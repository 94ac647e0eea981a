//! The visitor's cookie and address over whole requests.

use super::client::{Answer, ask, post};
use crate::edge::fake::Served;

const ID: &str = "0123456789abcdef0123456789abcdef";
const WITH_ID: &str = r#"{"type":"page","anonymousId":"a1"}"#;
const WITHOUT_ID: &str = r#"{"type":"page"}"#;

async fn send(served: &Served, key: &str, headers: &[&str], body: &str) -> Answer {
    let path = format!("/v1/events?writeKey={key}");
    let answer = ask(served.address, &post(&path, headers, body)).await;
    assert_eq!(
        answer.status,
        200,
        "{:?}",
        String::from_utf8_lossy(&answer.body)
    );
    answer
}

fn cookie_id(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    let id = set.strip_prefix("tg_vid=").expect("the loopback name");
    id[..32].to_owned()
}

#[tokio::test]
async fn a_new_browser_gets_an_id_which_is_the_events_only_one() {
    let served = Served::start().await;
    let answer = send(&served, "shop-key", &[], WITHOUT_ID).await;
    let seen = &served.core.seen()[0];
    assert_eq!(seen.anonymous_id, Some(cookie_id(&answer)));
    assert!(seen.minted);
}

#[tokio::test]
async fn events_of_one_request_share_one_minted_id_which_is_new_once() {
    let served = Served::start().await;
    let batch = format!(r#"{{"batch":[{WITHOUT_ID},{WITHOUT_ID}]}}"#);
    let answer = send(&served, "shop-key", &[], &batch).await;
    let seen = served.core.seen();
    assert_eq!(seen[0].anonymous_id, Some(cookie_id(&answer)));
    assert_eq!(seen[0].anonymous_id, seen[1].anonymous_id);
    assert_eq!((seen[0].minted, seen[1].minted), (true, false));
}

#[tokio::test]
async fn a_minted_id_is_not_stored_beside_an_anonymous_id() {
    let served = Served::start().await;
    let answer = send(&served, "shop-key", &[], WITH_ID).await;
    assert_eq!(cookie_id(&answer).len(), 32);
    let seen = &served.core.seen()[0];
    assert_eq!(seen.anonymous_id.as_deref(), Some("a1"));
    assert_eq!(seen.linked_cookie_id, None);
}

#[tokio::test]
async fn a_brought_id_is_used_and_linked_to_one_anonymous_id_only() {
    let served = Served::start().await;
    let cookie = format!("cookie: a=b; tg_vid={ID}");
    let answer = send(&served, "shop-key", &[&cookie], WITHOUT_ID).await;
    assert_eq!(answer.header("set-cookie"), None);
    send(&served, "shop-key", &[&cookie], WITH_ID).await;
    let two = r#"{"batch":[{"type":"page","anonymousId":"x"},{"type":"page","anonymousId":"y"}]}"#;
    send(&served, "shop-key", &[&cookie], two).await;
    let seen = served.core.seen();
    assert_eq!(seen[0].anonymous_id.as_deref(), Some(ID));
    assert_eq!(seen[1].linked_cookie_id.as_deref(), Some(ID));
    assert_eq!(
        (&seen[2].linked_cookie_id, &seen[3].linked_cookie_id),
        (&None, &None)
    );
}

#[tokio::test]
async fn server_events_neither_read_nor_set_the_cookie() {
    let served = Served::start().await;
    let cookie = format!("cookie: tg_vid={ID}");
    let by_channel = r#"{"type":"page","channel":"server"}"#;
    for (key, body) in [("crm-key", WITHOUT_ID), ("shop-key", by_channel)] {
        let answer = send(&served, key, &[&cookie], body).await;
        assert_eq!(answer.header("set-cookie"), None, "{key}");
    }
    let seen = served.core.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.anonymous_id.as_deref() != Some(ID))
    );
}

#[tokio::test]
async fn events_of_a_back_end_without_ids_are_not_one_visitor() {
    let served = Served::start().await;
    let batch = format!(r#"{{"batch":[{WITHOUT_ID},{WITHOUT_ID}]}}"#);
    send(&served, "crm-key", &[], &batch).await;
    let seen = served.core.seen();
    assert_ne!(seen[0].anonymous_id, seen[1].anonymous_id);
    assert!(seen[0].minted && seen[1].minted);
}

#[tokio::test]
async fn global_privacy_control_leaves_no_identifier_and_no_cookie() {
    let served = Served::start().await;
    let cookie = format!("cookie: tg_vid={ID}");
    let answer = send(&served, "shop-key", &[&cookie, "sec-gpc: 1"], WITH_ID).await;
    assert_eq!(answer.outcomes(), ["accepted"]);
    assert_eq!(answer.header("set-cookie"), None);
    let seen = &served.core.seen()[0];
    assert_eq!(
        (&seen.anonymous_id, &seen.linked_cookie_id, &seen.ip),
        (&None, &None, &None)
    );
}

#[tokio::test]
async fn a_proxy_is_believed_only_where_it_is_trusted() {
    let forwarded = ["x-forwarded-for: 6.6.6.6, 203.0.113.77"];
    let served = Served::start().await;
    send(&served, "shop-key", &forwarded, WITH_ID).await;
    assert_eq!(served.core.seen()[0].ip.as_deref(), Some("127.0.0.0"));

    let served = Served::start_with(|settings| {
        settings.edge.trusted_proxies = vec![crate::settings::Cidr {
            network: std::net::Ipv4Addr::LOCALHOST.into(),
            prefix: 8,
        }];
    })
    .await;
    send(&served, "shop-key", &forwarded, WITH_ID).await;
    assert_eq!(served.core.seen()[0].ip.as_deref(), Some("203.0.113.0"));
}

#[tokio::test]
async fn a_neighbours_cookie_that_is_no_text_hides_no_id() {
    let served = Served::start().await;
    let mut request = b"POST /v1/events?writeKey=shop-key HTTP/1.1\r\nhost: localhost\r\n".to_vec();
    request.extend_from_slice(b"cookie: city=M\xfcnchen; tg_vid=");
    request.extend_from_slice(ID.as_bytes());
    request.extend_from_slice(b"\r\ncontent-length: 15\r\n\r\n{\"type\":\"page\"}");
    let answer = ask(served.address, &request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(served.core.seen()[0].anonymous_id.as_deref(), Some(ID));
}

#[tokio::test]
async fn a_cookie_of_zeros_is_no_visitor() {
    let served = Served::start().await;
    let zeros = format!("cookie: tg_vid={}", "0".repeat(32));
    let first = send(&served, "shop-key", &[&zeros], WITHOUT_ID).await;
    let second = send(&served, "shop-key", &[&zeros], WITHOUT_ID).await;
    assert_ne!(cookie_id(&first), cookie_id(&second));
}

#[tokio::test]
async fn a_signal_that_a_proxy_joined_is_honoured() {
    for headers in [
        &["sec-gpc: 1, 1"][..],
        &["sec-gpc: 0", "sec-gpc: 1"],
        &["sec-gpc:  1  "],
    ] {
        let served = Served::start().await;
        let answer = send(&served, "shop-key", headers, WITH_ID).await;
        assert_eq!(answer.header("set-cookie"), None, "{headers:?}");
        assert_eq!(served.core.seen()[0].anonymous_id, None, "{headers:?}");
    }
}

#[tokio::test]
async fn a_message_id_that_stands_for_none_makes_no_duplicates() {
    let served = Served::start_with(|settings| {
        settings.identity.placeholders = vec!["No-Id".to_owned()];
    })
    .await;
    for id in ["undefined", "no-id", "{{message.id}}"] {
        let event = format!(r#"{{"type":"page","anonymousId":"a1","messageId":"{id}"}}"#);
        let body = format!(r#"{{"batch":[{event},{event}]}}"#);
        let answer = send(&served, "shop-key", &[], &body).await;
        assert_eq!(answer.outcomes(), ["accepted", "accepted"], "{id}");
    }
    let named = r#"{"type":"page","anonymousId":"no-id","userId":"u"}"#;
    send(&served, "crm-key", &[], named).await;
    assert_eq!(served.core.seen().last().unwrap().anonymous_id, None);
}
