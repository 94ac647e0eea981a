//! What requests may hold in memory, by clients that send little to take much of it.

use tidegate_event::Outcome;

use super::client::{Client, ask, events, eventually};
use super::slow_answers::metric;
use crate::edge::fake::Served;

const BUFFERED: &str = "tidegate_edge_buffered_bytes";
const EVENT: &str = r#"{"type":"page","anonymousId":"a1"}"#;

/// 7.5 KB that become more than a megabyte; its first event waits for the disk.
fn many_events() -> Vec<u8> {
    events(format!(
        "{{\"batch\":[{EVENT},{}]}}",
        vec!["{}"; 2_499].join(",")
    ))
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
