//! What requests may hold in memory, by clients that send little to take much of it.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use tidegate_event::Outcome;

use super::client::{Client, ask, events, eventually, post};
use super::slow_answers::{many_results, metric};
use super::untaken_answers::connected;
use crate::edge::fake::Served;
use crate::settings::Cidr;

const BUFFERED: &str = "tidegate_edge_buffered_bytes";
const EVENT: &str = r#"{"type":"page","anonymousId":"a1"}"#;

/// 7.5 KB that become more than a megabyte; its first event waits for the disk.
fn many_events() -> Vec<u8> {
    events(many_events_body())
}

fn many_events_body() -> String {
    format!("{{\"batch\":[{EVENT},{}]}}", vec!["{}"; 2_499].join(","))
}

/// The attack that was observed: small bodies of many events, all in work at once.
#[tokio::test]
async fn decoded_batches_are_bounded() {
    const BYTES_MAX: usize = 4 << 20;
    let served = Served::start_with(|settings| {
        settings.edge.body_bytes_max = BYTES_MAX / 2;
        settings.edge.buffered_bytes_max = BYTES_MAX;
    })
    .await;
    served.core.set_durable(Ok(0));
    let mut waiting = Vec::new();
    for batches in 1..=2 {
        let mut client = Client::to(served.address).await;
        client.send(&many_events()).await;
        eventually(|| metric(&served, BUFFERED) > batches * 1_000_000).await;
        waiting.push(client);
    }
    for _ in 0..10 {
        let refused = ask(served.address, &many_events()).await;
        let retry_after = refused.header("retry-after");
        assert_eq!((refused.status, retry_after), (503, Some("1")));
        assert!(metric(&served, BUFFERED) <= BYTES_MAX);
    }
    let no_room = "tidegate_edge_rejected_bodies_total{reason=\"no_room\"}";
    assert_eq!(metric(&served, no_room), 10);
    let mut single = Client::to(served.address).await;
    single.send(&events(EVENT)).await;
    served.core.set_durable(Ok(u64::MAX));
    assert_eq!(single.answer().await.status, 200);
    for mut client in waiting {
        assert_eq!(client.answer().await.outcomes().len(), 2_500);
    }
    eventually(|| metric(&served, BUFFERED) == 0).await;
    assert_eq!(served.outcomes.ended(Outcome::Overloaded), 10);
    assert_eq!(served.balance(), (5_011, 5_011));
}

const ATTACKER: &str = "x-forwarded-for: 203.0.113.1";
const OTHER: &str = "x-forwarded-for: 203.0.113.2";
const PATH: &str = "/v1/events?writeKey=shop-key";

/// Behind a proxy, with so much memory for all and for one address.
async fn behind_a_proxy(bytes_max: usize, of_address: usize) -> Served {
    Served::start_with(|settings| {
        settings.edge.body_bytes_max = 64 << 10;
        settings.edge.buffered_bytes_max = bytes_max;
        settings.edge.buffered_bytes_per_address_max = of_address;
        settings.edge.trusted_proxies = vec![Cidr {
            network: [127, 0, 0, 0].into(),
            prefix: 8,
        }];
    })
    .await
}

fn rejected(served: &Served, reason: &str) -> usize {
    let name = format!("tidegate_edge_rejected_bodies_total{{reason=\"{reason}\"}}");
    metric(served, &name)
}

#[tokio::test]
async fn batches_of_one_address_leave_memory_to_others() {
    let served = behind_a_proxy(8 << 20, 2 << 20).await;
    served.core.set_durable(Ok(0));
    let batch = |client| post(PATH, &[client], many_events_body());
    let mut first = Client::to(served.address).await;
    first.send(&batch(ATTACKER)).await;
    eventually(|| metric(&served, BUFFERED) > 1_000_000).await;
    for _ in 0..10 {
        let refused = ask(served.address, &batch(ATTACKER)).await;
        let retry_after = refused.header("retry-after");
        assert_eq!((refused.status, retry_after), (503, Some("1")));
    }
    assert_eq!(rejected(&served, "address_no_room"), 10);
    let mut other = Client::to(served.address).await;
    other.send(&batch(OTHER)).await;
    eventually(|| metric(&served, BUFFERED) > 2_000_000).await;
    served.core.set_durable(Ok(u64::MAX));
    for mut client in [first, other] {
        assert_eq!(client.answer().await.outcomes().len(), 2_500);
    }
    let again = ask(served.address, &batch(ATTACKER)).await;
    assert_eq!(again.outcomes().len(), 2_500);
}

/// The attack that was observed: bodies of which all but the last bytes come.
#[tokio::test]
async fn bodies_of_one_address_in_pieces_leave_memory_to_others() {
    const ATTACKS: usize = 20;
    let served = behind_a_proxy(1 << 20, 128 << 10).await;
    let padded = format!("{EVENT}{}", " ".repeat(60_000 - EVENT.len()));
    let whole = |client| post(PATH, &[client], &padded);
    let begun = whole(ATTACKER);
    let begun = &begun[..begun.len() - 1];
    let mut first = Client::to(served.address).await;
    first.send(begun).await;
    eventually(|| metric(&served, BUFFERED) == 59_999).await;
    let mut attacks = vec![first];
    for _ in 1..ATTACKS {
        let mut client = Client::to(served.address).await;
        client.send(begun).await;
        assert_eq!(client.answer().await.status, 503);
        attacks.push(client);
    }
    assert_eq!(rejected(&served, "address_no_room"), ATTACKS - 1);
    let mut other = Client::to(served.address).await;
    let body = whole(OTHER);
    let (most, rest) = body.split_at(40_000);
    other.send(most).await;
    eventually(|| metric(&served, "tidegate_edge_bodies_awaited") == 2).await;
    other.send(rest).await;
    assert_eq!(other.answer().await.status, 200);
    let small = post(PATH, &[ATTACKER], EVENT);
    assert_eq!(ask(served.address, &small).await.status, 200);
    drop(attacks);
    eventually(|| metric(&served, BUFFERED) == 0).await;
}

async fn post_of(sender: &SendRequest<Bytes>, client: &str) -> ResponseFuture {
    let mut sender = sender.clone().ready().await.unwrap();
    let request = http::Request::post(format!("http://localhost{PATH}"))
        .header("x-forwarded-for", client)
        .body(());
    let (answer, mut body) = sender.send_request(request.unwrap(), false).unwrap();
    body.send_data(many_results(), true).unwrap();
    answer
}

/// The attack that was observed: streams with a window of 0, and nothing is read.
#[tokio::test]
async fn untaken_answers_of_one_address_leave_memory_to_others() {
    const ATTACKS: usize = 40;
    let served = behind_a_proxy(8 << 20, 2 << 20).await;
    let sender = connected(&served, 0).await;
    let (mut untaken, mut withheld) = (Vec::new(), 0);
    for _ in 0..ATTACKS {
        let answer = post_of(&sender, "203.0.113.1").await.await.unwrap();
        withheld += usize::from(answer.status() == 503);
        untaken.push(answer);
        assert!(metric(&served, "tidegate_edge_unsent_bytes") <= 1 << 20);
    }
    assert!((20..ATTACKS).contains(&withheld), "{withheld}");
    let counted = "tidegate_edge_answers_withheld_total{reason=\"address_no_room\"}";
    assert_eq!(metric(&served, counted), withheld);
    let other = ask(served.address, &post(PATH, &[OTHER], many_results())).await;
    assert_eq!(other.outcomes().len(), 2_500);
}

/// A proxy that names no client stands for everybody.
#[tokio::test]
async fn loopback_has_no_part_of_its_own() {
    let served = behind_a_proxy(8 << 20, 2 << 20).await;
    served.core.set_durable(Ok(0));
    let mut waiting = Vec::new();
    for batches in 1..=3 {
        let mut client = Client::to(served.address).await;
        client.send(&many_events()).await;
        eventually(|| metric(&served, BUFFERED) > batches * 1_000_000).await;
        waiting.push(client);
    }
    served.core.set_durable(Ok(u64::MAX));
    for mut client in waiting {
        assert_eq!(client.answer().await.outcomes().len(), 2_500);
    }
}
