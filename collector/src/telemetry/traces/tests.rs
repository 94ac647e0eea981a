use http::{HeaderValue, Method, StatusCode, Version};
use opentelemetry::trace::TraceId;
use prometheus_client::registry::Registry;
use tidegate_activation::{Attempt, Observer};

use super::*;
use crate::clock::SystemClock;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn traces(sample: u32, room: usize) -> (Traces, mpsc::Receiver<SpanData>) {
    let (queue, queued) = mpsc::channel(room);
    let shared = Shared {
        sample,
        queue,
        scope: InstrumentationScope::builder("tidegate").build(),
        clock: Arc::new(SystemClock::default()),
        metrics: TraceMetrics::register(&mut Registry::default()),
    };
    let shared = Arc::new(shared);
    (Traces { shared }, queued)
}

fn saying(traceparent: &'static str) -> HeaderMap {
    let value = HeaderValue::from_static(traceparent);
    HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), value)])
}

fn answered(trace: RequestTrace, status: StatusCode) {
    trace.answered(Answered {
        method: &Method::POST,
        route: Some("/v1/events"),
        version: Version::HTTP_2,
        status,
    });
}

fn spans(queued: &mut mpsc::Receiver<SpanData>) -> Vec<SpanData> {
    std::iter::from_fn(|| queued.try_recv().ok()).collect()
}

fn texts(span: &SpanData) -> Vec<String> {
    let attributes = span.attributes.iter();
    attributes
        .map(|one| format!("{}={}", one.key, one.value))
        .collect()
}

#[test]
fn a_request_is_one_span_with_one_for_each_stage_that_it_came_through() {
    let (traces, mut queued) = traces(1, 16);
    let trace = traces.begin(None).unwrap();
    for stage in [Stage::Received, Stage::Decided, Stage::Durable] {
        trace.ended(stage);
    }
    answered(trace, StatusCode::OK);
    let spans = spans(&mut queued);
    let names: Vec<_> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(
        names,
        ["receive", "decide", "make durable", "POST /v1/events"]
    );
    let whole = &spans[3];
    assert_eq!(whole.parent_span_id, SpanId::INVALID);
    for (before, stage) in spans[..3].iter().zip(&spans[1..]) {
        assert_eq!(before.parent_span_id, whole.span_context.span_id());
        assert!(before.start_time <= before.end_time && before.end_time <= stage.end_time);
    }
    assert_eq!(
        texts(whole),
        [
            "http.request.method=POST",
            "network.protocol.version=2",
            "http.response.status_code=200",
            "http.route=/v1/events",
        ]
    );

    let refused = traces.begin(None).unwrap();
    answered(refused, StatusCode::SERVICE_UNAVAILABLE);
    let spans = self::spans(&mut queued);
    assert_eq!(spans.len(), 1, "it came through no stage");
    assert!(matches!(spans[0].status, Status::Error { .. }));
}

#[test]
fn a_trusted_peer_decides_for_its_requests_and_chance_for_all_others() {
    let (none, mut queued) = traces(0, 16);
    assert!(none.begin(None).is_none());
    assert!(none.begin(Some(&HeaderMap::new())).is_none());
    assert!(none.begin(Some(&saying("00-nonsense"))).is_none());
    let asked = none.begin(Some(&saying(PARENT))).unwrap();
    answered(asked, StatusCode::OK);
    let span = spans(&mut queued).remove(0);
    let trace_id = TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap();
    assert_eq!(span.span_context.trace_id(), trace_id);
    assert_eq!(
        span.parent_span_id,
        SpanId::from_hex("b7ad6b7169203331").unwrap()
    );

    let (all, _queued) = traces(1, 16);
    let unwanted = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    assert!(all.begin(Some(&saying(unwanted))).is_none());
    assert!(all.begin(None).is_some());
    let (some, _queued) = traces(10, 16);
    let drawn = (0..2_000).filter(|_| some.begin(None).is_some()).count();
    assert!((100..400).contains(&drawn), "{drawn} of 2000");
}

#[test]
fn a_delivery_names_its_destination_and_what_came_of_it() {
    let (traces, mut queued) = traces(1, 16);
    let attempt = Attempt {
        destination: "ads",
        resent: 2,
        sent_at: Timestamp(1_000),
        ended_at: Timestamp(1_040),
        status: None,
        failure: Some("timeout"),
    };
    traces.attempted(&attempt);
    let span = spans(&mut queued).remove(0);
    assert_eq!(
        (&*span.name, &span.span_kind),
        ("deliver", &SpanKind::Client)
    );
    assert_eq!(
        span.end_time.duration_since(span.start_time).unwrap(),
        Duration::from_millis(40)
    );
    assert_eq!(
        texts(&span),
        [
            "http.request.method=POST",
            "tidegate.destination=ads",
            "http.request.resend_count=2",
            "error.type=timeout",
        ]
    );
}

#[test]
fn a_full_queue_drops_spans_and_counts_them() {
    let (traces, mut queued) = traces(1, 1);
    for _ in 0..3 {
        answered(traces.begin(None).unwrap(), StatusCode::OK);
    }
    assert_eq!(spans(&mut queued).len(), 1);
    let metrics = &traces.shared.metrics;
    assert_eq!((metrics.dropped.get(), metrics.stopped.get()), (2, 0));
}

#[test]
fn a_span_that_ends_after_the_stop_is_not_put_down_to_a_full_queue() {
    let (traces, mut queued) = traces(1, 1);
    queued.close();
    answered(traces.begin(None).unwrap(), StatusCode::OK);
    let metrics = &traces.shared.metrics;
    assert_eq!((metrics.dropped.get(), metrics.stopped.get()), (0, 1));
}

/// It takes connections and says nothing.
#[tokio::test]
async fn what_the_collector_has_not_taken_by_the_stop_is_counted_as_stopped() {
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}/v1/traces", deaf.local_addr().unwrap());
    let settings = Otlp {
        sample: 1,
        ..crate::settings::Settings::default().telemetry.otlp
    };
    let metrics = TraceMetrics::register(&mut Registry::default());
    let clock = Arc::new(SystemClock::default());
    let (traces, export) = Traces::new(&settings, &endpoint, clock, metrics.clone()).unwrap();
    for _ in 0..3 {
        answered(traces.begin(None).unwrap(), StatusCode::OK);
    }
    tokio::time::pause();
    let (_stop, stopping) = tokio::sync::watch::channel(true);
    export.run(stopping).await;
    assert_eq!((metrics.sent.get(), metrics.stopped.get()), (0, 3));
}
