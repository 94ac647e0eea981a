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
