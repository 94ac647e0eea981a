//! Limits: rates, connections of one address, idle ones, delay, reset floods.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tidegate_event::Outcome;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::client::{Client, ask, events, eventually, get};
use super::frames;
use crate::catalog::Catalog;
use crate::edge::RuntimeCatalog;
use crate::edge::fake::{Served, web_source};
use crate::settings::Cidr;

const EVENT: &str = r#"{"type":"track","event":"Seen","anonymousId":"a1"}"#;
const TWO: Option<NonZeroU32> = NonZeroU32::new(2);

/// From this client, as a trusted proxy says.
fn events_of(client: &str) -> Vec<u8> {
    let whole = String::from_utf8(events(EVENT)).unwrap();
    let forwarded = format!("\r\nx-forwarded-for: {client}\r\n");
    whole.replacen("\r\n", &forwarded, 1).into_bytes()
}

async fn behind_a_proxy(limit: Option<NonZeroU32>) -> Served {
    Served::start_with(|settings| {
        settings.edge.address_rate_limit = limit;
        settings.edge.trusted_proxies = vec![Cidr {
            network: [127, 0, 0, 0].into(),
            prefix: 8,
        }];
    })
    .await
}

#[tokio::test]
async fn an_address_over_its_rate_is_told_when_to_come_again_and_others_are_not_touched() {
    let served = behind_a_proxy(TWO).await;
    let mut client = Client::to(served.address).await;
    // In one write: the bucket must not fill again in between.
    client.send(&events_of("203.0.113.1").repeat(3)).await;
    let first = client.answer().await;
    let left = |answer: &super::client::Answer| {
        let header = |name| answer.header(name).map(str::to_owned);
        (header("ratelimit-limit"), header("ratelimit-remaining"))
    };
    assert_eq!(first.status, 200);
    assert_eq!(left(&first), (Some("2".to_owned()), Some("1".to_owned())));
    assert_eq!(client.answer().await.status, 200);
    let over = client.answer().await;
    assert_eq!((over.status, over.header("retry-after")), (429, Some("1")));
    assert_eq!(over.header("ratelimit-reset"), Some("1"));
    assert_eq!(client.ask(&events_of("203.0.113.2")).await.status, 200);
    assert_eq!(served.outcomes.ended(Outcome::RateLimited), 1);
    assert_eq!(served.balance(), (4, 4));
    let refused = "tidegate_edge_refused_requests_total{reason=\"address_rate\"} 1";
    assert!(served.metrics().contains(refused));
}

#[tokio::test]
async fn a_reload_renews_limits_and_trust_on_open_connections_and_keeps_what_is_counted() {
    let remembered = |served: &Served, addresses: u32| {
        let metric = format!("tidegate_edge_rate_addresses {addresses}\n");
        served.metrics().contains(&metric)
    };
    let mut served = behind_a_proxy(None).await;
    let mut client = Client::to(served.address).await;
    assert_eq!(client.ask(&events_of("203.0.113.1")).await.status, 200);
    let hundred = NonZeroU32::new(100);
    served.renew(|settings| settings.edge.address_rate_limit = hundred);
    for last in 1..=3 {
        let from = events_of(&format!("203.0.113.{last}"));
        let answer = client.ask(&from).await;
        assert_eq!(answer.header("ratelimit-limit"), Some("100"));
    }
    eventually(|| remembered(&served, 3)).await;
    served.renew(|settings| settings.edge.body_bytes_max = 64 << 10);
    assert_eq!(client.ask(&events_of("203.0.113.4")).await.status, 200);
    eventually(|| remembered(&served, 4)).await;
    served.renew(|settings| settings.edge.trusted_proxies.clear());
    assert_eq!(client.ask(&events_of("203.0.113.5")).await.status, 200);
    assert_eq!(client.ask(&events_of("203.0.113.6")).await.status, 200);
    // Both are the connection's own address now.
    eventually(|| remembered(&served, 5)).await;
}

#[tokio::test]
async fn without_a_limit_nothing_is_said_of_one() {
    let served = Served::start().await;
    let answer = ask(served.address, &events(EVENT)).await;
    assert_eq!(
        (answer.status, answer.header("ratelimit-limit")),
        (200, None)
    );
}

fn limit_its_source(served: &Served, per_second: Option<NonZeroU32>) {
    let mut limited = web_source();
    limited.rate_limit = per_second;
    let catalog = Catalog {
        sources: vec![limited],
        ..Catalog::default()
    };
    served
        .catalog
        .store(Arc::new(RuntimeCatalog::new(&catalog)));
}

#[tokio::test]
async fn a_source_over_its_rate_gets_the_rest_of_the_batch_back_to_send_again() {
    let served = Served::start().await;
    limit_its_source(&served, TWO);
    let batch = format!("{{\"batch\":[{EVENT},{EVENT},{EVENT}]}}");
    let answer = ask(served.address, &events(&batch)).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (429, Some("1"))
    );
    assert_eq!(answer.outcomes(), ["accepted", "accepted", "rate_limited"]);
    assert_eq!(served.balance(), (3, 3));
}

/// So many events of this client in one request, to the source of this key.
fn batch_of(client: &str, events: usize, key: &str) -> Vec<u8> {
    let body = format!("{{\"batch\":[{}]}}", vec![EVENT; events].join(","));
    format!(
        "POST /v1/events?writeKey={key} HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: {client}\r\n\
         origin: https://shop.example\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn ended(outcomes: &[String], outcome: &str) -> usize {
    outcomes.iter().filter(|ended| *ended == outcome).count()
}

#[tokio::test]
async fn one_request_does_not_use_up_its_sources_rate() {
    let served = behind_a_proxy(None).await;
    limit_its_source(&served, NonZeroU32::new(1_000));
    let mut client = Client::to(served.address).await;
    let attack = client
        .ask(&batch_of("203.0.113.1", 2_500, "shop-key"))
        .await;
    assert_eq!(
        (attack.status, attack.header("retry-after")),
        (429, Some("1"))
    );
    let outcomes = attack.outcomes();
    let (taken, refused) = (
        ended(&outcomes, "accepted"),
        ended(&outcomes, "rate_limited"),
    );
    // More than the burst where the bucket filled while they were looked at.
    assert!((400..700).contains(&taken), "{taken}");
    assert_eq!(taken + refused, 2_500);
    let others = client.ask(&batch_of("203.0.113.2", 200, "shop-key")).await;
    assert_eq!((others.status, others.outcomes().len()), (200, 200));
    let counted = format!("tidegate_edge_address_limited_events_total {refused}\n");
    assert!(served.metrics().contains(&counted));
}

#[tokio::test]
async fn a_server_source_is_not_charged_for_its_address() {
    let served = behind_a_proxy(None).await;
    let mut client = Client::to(served.address).await;
    let answer = client.ask(&batch_of("203.0.113.1", 2_500, "crm-key")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn an_address_rate_of_nought_sets_no_bound() {
    let mut served = behind_a_proxy(None).await;
    served.renew(|settings| settings.edge.address_event_rate = 0);
    let mut client = Client::to(served.address).await;
    let answer = client
        .ask(&batch_of("203.0.113.1", 2_500, "shop-key"))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_batch_over_the_address_rate_gets_on_with_each_try() {
    let mut served = behind_a_proxy(None).await;
    served.renew(|settings| settings.edge.address_event_rate = 1);
    let event = |id| format!(r#"{{"type":"page","anonymousId":"a","messageId":"{id}"}}"#);
    let batch = format!("{{\"batch\":[{},{},{}]}}", event(1), event(2), event(3));
    let whole = String::from_utf8(events(&batch)).unwrap();
    let whole = whole.replacen("\r\n", "\r\nx-forwarded-for: 203.0.113.1\r\n", 1);
    let mut client = Client::to(served.address).await;
    let first = client.ask(whole.as_bytes()).await;
    assert_eq!(first.status, 429);
    assert_eq!(first.outcomes(), ["accepted", "accepted", "rate_limited"]);
    // Its first two are copies now, and cost nothing.
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.ask(whole.as_bytes()).await.status != 200 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(served.outcomes.ended(Outcome::Accepted), 3);
}

#[tokio::test]
async fn a_batch_larger_than_the_rate_gets_on_with_each_try() {
    let served = Served::start().await;
    limit_its_source(&served, TWO);
    let event = |id| format!(r#"{{"type":"page","anonymousId":"a","messageId":"{id}"}}"#);
    let batch = format!(
        r#"{{"batch":[{},{},{}]}}"#,
        event("b1"),
        event("b2"),
        event("b3")
    );
    let mut client = Client::to(served.address).await;
    let first = client.ask(&events(&batch)).await;
    assert_eq!(first.outcomes(), ["accepted", "accepted", "rate_limited"]);
    // The next token comes within a second, whatever the tries before it cost.
    loop {
        let again = client.ask(&events(&batch)).await;
        assert_eq!(again.outcomes()[..2], ["duplicate", "duplicate"]);
        if again.status == 200 {
            assert_eq!(again.outcomes()[2], "accepted");
            break;
        }
        assert_eq!(again.outcomes()[2], "rate_limited");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.ask(&events(&batch)).await.status, 200);
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_no_more() {
    let served = Served::start_with(|settings| {
        settings.edge.connections_per_address_max = 2;
        settings.edge.proxy_protocol.http = true;
    })
    .await;
    let connected = async |header: &str| {
        let mut client = Client::to(served.address).await;
        client.send(header.as_bytes()).await;
        client
    };
    let one = "PROXY TCP4 203.0.113.7 10.0.0.1 4096 80\r\n";
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = connected(one).await;
        assert_eq!(client.ask(&get("/healthz", &[])).await.status, 200);
        open.push(client);
    }
    let mut third = connected(one).await;
    assert!(third.is_closed_silently().await);
    // Those of this host are everybody's that a proxy on it carries.
    let local = "PROXY TCP4 127.0.0.1 10.0.0.1 4096 80\r\n";
    for _ in 0..3 {
        let mut client = connected(local).await;
        assert_eq!(client.ask(&get("/healthz", &[])).await.status, 200);
    }
    assert!(
        served
            .metrics()
            .contains("tidegate_edge_connections_refused_total 1")
    );
    drop(open.pop());
    eventually(|| served.metrics().contains("tidegate_edge_connections 1")).await;
    let mut fourth = connected(one).await;
    assert_eq!(fourth.ask(&get("/healthz", &[])).await.status, 200);
}

#[tokio::test]
async fn probes_are_answered_whatever_limit_is_reached() {
    let served = Served::start_with(|settings| {
        settings.edge.address_rate_limit = NonZeroU32::new(1);
        settings.edge.in_flight_max = 1;
    })
    .await;
    served.core.set_durable(Ok(0));
    let mut busy = Client::to(served.address).await;
    busy.send(&events(EVENT)).await;
    eventually(|| !served.core.seen().is_empty()).await;
    let mut prober = Client::to(served.address).await;
    prober.send(&get("/healthz", &[]).repeat(10)).await;
    for _ in 0..10 {
        let answer = prober.answer().await;
        let told = answer.header("ratelimit-limit").map(str::to_owned);
        assert_eq!((answer.status, told), (200, None));
    }
    served.core.set_durable(Ok(1));
    assert_eq!(busy.answer().await.status, 200);
}

#[tokio::test]
async fn a_connection_rests_between_requests_for_the_idle_time_and_not_for_ever() {
    let served = Served::start_with(|settings| {
        settings.edge.header_timeout_ms = 20;
        settings.edge.idle_timeout_ms = 1_000;
    })
    .await;
    let mut client = Client::to(served.address).await;
    assert_eq!(client.ask(&events(EVENT)).await.status, 200);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(
        client.ask(&events(EVENT)).await.status,
        200,
        "ten looks later"
    );
    assert!(client.is_closed_silently().await);
    assert!(
        served
            .metrics()
            .contains("tidegate_edge_connections_idle_total 1")
    );
}

#[tokio::test]
async fn a_slow_head_is_cut_off_also_after_a_request() {
    let served = Served::start_with(|settings| {
        settings.edge.header_timeout_ms = 30;
        settings.edge.idle_timeout_ms = 3_600_000;
    })
    .await;
    let mut client = Client::to(served.address).await;
    assert_eq!(client.ask(&events(EVENT)).await.status, 200);
    client.send(b"POST /v1/events HTTP/1.1\r\nx-slow:").await;
    assert!(client.is_closed_silently().await);
}

/// How long a connection lasts, in milliseconds, that sends this after a request and its answer, and
/// then nothing more.
async fn lasts(after: &[u8]) -> u128 {
    let served = Served::start_with(|settings| {
        settings.edge.header_timeout_ms = 2_000;
        settings.edge.idle_timeout_ms = 3_000;
    })
    .await;
    let mut client = Client::to(served.address).await;
    client.send(&[&events(EVENT), after].concat()).await;
    assert_eq!(client.answer().await.status, 200);
    let answered = Instant::now();
    assert!(client.is_closed_silently().await);
    answered.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn idle_and_header_timeouts_are_kept_to_a_twentieth() {
    let idle = lasts(b"").await;
    assert!((2_990..=3_100).contains(&idle), "{idle} ms");
    let within_a_head = lasts(b"POST /v1/events HTTP/1.1\r\nx-slow:").await;
    assert!(
        (1_990..=2_100).contains(&within_a_head),
        "{within_a_head} ms"
    );
}

#[tokio::test]
async fn a_connection_ends_in_order_after_its_last_request() {
    let served = Served::start_with(|s| s.edge.requests_per_connection_max = 2).await;
    let mut client = Client::to(served.address).await;
    let first = client.ask(&events(EVENT)).await;
    assert_eq!((first.status, first.header("connection")), (200, None));
    let last = client.ask(&events(EVENT)).await;
    assert_eq!(
        (last.status, last.header("connection")),
        (200, Some("close"))
    );
    assert!(client.is_closed_silently().await);
}

#[tokio::test]
async fn http2_ends_with_goaway_as_soon_as_its_requests_are_used_up() {
    let served = Served::start_with(|s| s.edge.requests_per_connection_max = 2).await;
    // All in one write, by a client that answers no PING and heeds no GOAWAY.
    let streams = [1, 3, 5, 7, 9];
    let requests = streams.map(|stream| frames::request(stream, &frames::HEALTH));
    let stream = frames::sent(&served, &[frames::opening(), requests.concat()].concat()).await;
    let answer = frames::all(stream).await;
    let on = |kind| {
        let frames = answer.iter().filter(move |frame| frame.kind == kind);
        frames.map(|frame| frame.stream).collect::<Vec<_>>()
    };
    assert_eq!(on(frames::HEADERS), [1, 3], "{answer:?}");
    assert_eq!(on(frames::RST_STREAM), [5, 7, 9], "{answer:?}");
    let refused = h2::Reason::REFUSED_STREAM;
    for reset in answer.iter().filter(|f| f.kind == frames::RST_STREAM) {
        assert_eq!(reset.payload, u32::from(refused).to_be_bytes());
    }
    assert!(!on(frames::GOAWAY).is_empty(), "{answer:?}");
    let answered = "tidegate_edge_requests_by_version_total{version=\"2\"} 2\n";
    assert!(served.metrics().contains(answered));
    eventually(|| cut(&served, "requests") == 1).await;
}

#[tokio::test]
async fn http2_without_requests_ends_with_goaway() {
    let served = Served::start_with(|settings| {
        settings.edge.header_timeout_ms = 50;
        settings.edge.idle_timeout_ms = 50;
    })
    .await;
    for requests in [Vec::new(), frames::request(1, &frames::HEALTH)] {
        let stream = frames::sent(&served, &[frames::opening(), requests].concat()).await;
        let answer = frames::all(stream).await;
        let goaway = answer.iter().find(|frame| frame.kind == frames::GOAWAY);
        let no_error = &u32::from(h2::Reason::NO_ERROR).to_be_bytes()[..];
        assert_eq!(goaway.unwrap().payload.get(4..8), Some(no_error));
    }
    let idle = "tidegate_edge_connections_idle_total 2\n";
    assert!(served.metrics().contains(idle));
}

#[tokio::test]
async fn while_the_journal_stands_still_requests_are_refused_at_once_and_after_it_no_more() {
    let served = Served::start_with(|settings| settings.edge.delay_max_ms = 200).await;
    let overloaded = |is: u8| {
        let metrics = served.metrics();
        metrics.contains(&format!("tidegate_edge_overloaded {is}\n"))
    };
    served.core.set_progress(10, 0);
    eventually(|| overloaded(1)).await;
    let answer = ask(served.address, &events(EVENT)).await;
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(ask(served.address, &get("/healthz", &[])).await.status, 200);
    served.core.set_progress(10, 10);
    eventually(|| overloaded(0)).await;
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 200);
    assert_eq!(served.balance(), (2, 2));
}

#[tokio::test]
async fn while_every_request_waits_too_long_they_are_refused_and_after_it_no_more() {
    let served = Served::start().await;
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 200);
    // By this clock whatever is read arrived ten seconds ago.
    served.clock.set_ahead_ms(10_000);
    let mut asked = 1;
    let refused = loop {
        asked += 1;
        let answer = ask(served.address, &events(EVENT)).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("1"))
    );
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(ask(served.address, &get("/healthz", &[])).await.status, 200);
    served.clock.set_ahead_ms(0);
    loop {
        asked += 1;
        if ask(served.address, &events(EVENT)).await.status == 200 {
            break;
        }
    }
    assert_eq!(served.balance(), (asked, asked));
    let refused = served.outcomes.ended(Outcome::Overloaded);
    let counted = format!("tidegate_edge_refused_requests_total{{reason=\"delay\"}} {refused}\n");
    assert!(refused > 0 && served.metrics().contains(&counted));
}

#[tokio::test]
async fn a_client_that_floods_with_resets_is_cut_off() {
    let served = Served::start_with(|settings| settings.edge.h2_resets_max = 8).await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let flood = async {
        for sent in 0..2_000 {
            if sent % 64 == 0 {
                // The client's own connection gets a turn: so many arrive together.
                tokio::task::yield_now().await;
            }
            sender = sender.ready().await?;
            let request = http::Request::post("http://localhost/v1/events")
                .body(())
                .unwrap();
            let (_, mut stream) = sender.send_request(request, false)?;
            stream.send_reset(h2::Reason::CANCEL);
        }
        Ok(())
    };
    let ended: Result<(), h2::Error> = flood.await;
    let error = connection.await.unwrap().err().or(ended.err());
    let reason = error.and_then(|error| error.reason());
    assert_eq!(reason, Some(h2::Reason::ENHANCE_YOUR_CALM));
    assert_eq!(ask(served.address, &events(EVENT)).await.status, 200);
    eventually(|| cut(&served, "flood") == 1).await;
}

#[tokio::test]
async fn a_head_in_endless_pieces_is_cut_off() {
    let served = Served::start().await;
    let fields = frames::block(&frames::HEALTH);
    let begun = frames::frame(frames::HEADERS, 0, 1, &fields);
    let piece = frames::frame(frames::CONTINUATION, 0, 1, b"");
    let flood = [frames::opening(), begun, piece.repeat(1_000)].concat();
    let answer = frames::all(frames::sent(&served, &flood).await).await;
    let goaway = answer.iter().find(|frame| frame.kind == frames::GOAWAY);
    let calm = &u32::from(h2::Reason::ENHANCE_YOUR_CALM).to_be_bytes()[..];
    assert_eq!(goaway.unwrap().payload.get(4..8), Some(calm));
    eventually(|| cut(&served, "flood") == 1).await;
}

#[tokio::test]
async fn connections_are_counted_by_what_ended_them() {
    let served = Served::start_with(|s| s.edge.requests_per_connection_max = 1).await;
    for request in [
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\na: b\r\n c\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\na: \0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let mut client = Client::to(served.address).await;
        client.send(request.as_bytes()).await;
        client.answer().await;
        assert!(client.is_closed_silently().await);
    }
    let stream = [frames::opening(), frames::request(2, &frames::HEALTH)].concat();
    frames::all(frames::sent(&served, &stream).await).await;
    for (reason, times) in [
        ("framing", 1),
        ("malformed", 2),
        ("requests", 1),
        ("flood", 0),
    ] {
        eventually(|| cut(&served, reason) == times).await;
    }
}

/// How many connections were ended for this.
fn cut(served: &Served, reason: &str) -> u32 {
    let name = format!("tidegate_edge_connections_cut_total{{reason=\"{reason}\"}} ");
    let metrics = served.metrics();
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}
