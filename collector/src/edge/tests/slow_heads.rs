//! Slowloris: many clients whose heads arrive a byte at a time and never end. At full size:
//! `make bench-connections`.

use std::time::Duration;

use tidegate_event::Outcome;

use super::client::{Client, ask, events, eventually};
use crate::edge::fake::Served;

const EVENT: &str = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;
const SLOW: usize = 200;

async fn slow_heads(served: &Served) -> Vec<Client> {
    let mut slow = Vec::with_capacity(SLOW);
    for _ in 0..SLOW {
        let mut client = Client::to(served.address).await;
        let begun = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\nx-slow: ";
        client.send_what_it_takes(begun).await;
        slow.push(client);
    }
    slow
}

#[tokio::test]
async fn a_good_client_is_answered_while_slow_heads_are_held() {
    let served = Served::start_with(|settings| settings.edge.header_timeout_ms = 3_600_000).await;
    let mut slow = slow_heads(&served).await;
    for client in slow.iter_mut().step_by(10) {
        client.send(b"x").await;
        assert_eq!(ask(served.address, &events(EVENT)).await.status, 200);
    }
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 20);
    let held = format!("tidegate_edge_connections {SLOW}\n");
    eventually(|| served.metrics().contains(&held)).await;
}

#[tokio::test]
async fn slow_heads_are_cut_off_after_the_header_timeout_though_they_never_fall_silent() {
    let served = Served::start_with(|settings| {
        settings.edge.header_timeout_ms = 100;
        settings.edge.idle_timeout_ms = 3_600_000;
    })
    .await;
    let mut slow = slow_heads(&served).await;
    let dripping = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        loop {
            ticks.tick().await;
            for client in &mut slow {
                client.send_what_it_takes(b"x").await;
            }
        }
    });
    let cut = format!("tidegate_edge_connections_idle_total {SLOW}\n");
    eventually(|| served.metrics().contains(&cut)).await;
    dripping.abort();
}
