//! docs/metrics.md is written from what a whole gateway exposes: every metric, and no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::{Gateway, Patience, ask, launch, settings};
use crate::document::committed::assert_written_from_code;
use crate::settings::Kafka;

/// With everything that can have figures of its own; Kafka is not there, so it has errors as well.
const CATALOG: &str = r#"
[[source]]
name = "shop"
write_key = "shop-key"
kind = "web"

[[segment]]
name = "buyers"
when = 'event.name == "Order Completed"'

[[destination]]
name = "ads"
kind = "webhook"
url = "https://ads.example.com/audience"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
segments = ["buyers"]
"#;

const INTRODUCTION: &str = "\
# Metrics

`GET /metrics` on the admin listener answers all of them as OpenMetrics text, which Prometheus
reads. A counter only grows and starts at 0 with the process; a gauge says what is now; a histogram
has `_bucket`, `_sum` and `_count`. `tidegate_received_events_total` is the sum of
`tidegate_events_total` whenever no request is in work. Those of certificates (`tidegate_tls_certificate_*`,
`tidegate_tls_reloads_total`, `tidegate_acme_*`) exist where `edge.https` is set, those of Kafka where `[kafka]` is
configured, and one of `tidegate_kafka_errors_total` once there was such an error.

This page is written from what a gateway exposes; a test fails when they differ.

| metric | type | unit | labels | meaning |
|---|---|---|---|---|
";

/// Labels whose values are a closed list.
const CLOSED: [&str; 2] = ["outcome", "reason"];
/// How long the first error of Kafka may take.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Metric {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reference_is_what_a_gateway_exposes() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = dir.path().join("catalog.toml");
    std::fs::write(&catalog, CATALOG).unwrap();
    let mut settings = settings(&dir.path().join("data"));
    settings.catalog = Some(catalog);
    settings.edge.https = Some(([127, 0, 0, 1], 0).into());
    settings.kafka = Some(Kafka::with_brokers("127.0.0.1:1".to_owned()));
    let gateway = Gateway::start(launch(settings)).await.unwrap();
    let complete = async {
        loop {
            let (status, text) = ask(&gateway, "/metrics").await;
            assert_eq!(status, 200, "{text}");
            if text.contains("tidegate_kafka_errors_total{") {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let text = tokio::time::timeout(PATIENCE, complete).await.unwrap();
    let patience = Patience::of(&gateway.settings().drain);
    gateway.stop(patience).await;
    assert_written_from_code("docs/metrics.md", &reference(&text));
}

fn reference(exposed: &str) -> String {
    let mut page = INTRODUCTION.to_owned();
    for (name, metric) in metrics(exposed) {
        let suffix = if metric.kind == "counter" {
            "_total"
        } else {
            ""
        };
        let _infallible = writeln!(
            page,
            "| `{name}{suffix}` | {} | {} | {} | {} |",
            metric.kind,
            unit(&name),
            labels(&metric),
            metric.help
        );
    }
    page
}

fn metrics(exposed: &str) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    for line in exposed.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            let help = help.trim_end_matches('.');
            assert!(!help.is_empty(), "{name} says nothing");
            help.clone_into(&mut metrics.entry(name.to_owned()).or_default().help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            kind.clone_into(&mut metrics.entry(name.to_owned()).or_default().kind);
        } else if let Some((name, rest)) = line.split_once('{') {
            let suffixes = ["_total", "_bucket", "_sum", "_count"];
            let base = suffixes.iter().find_map(|end| name.strip_suffix(end));
            let Some(metric) = metrics.get_mut(base.unwrap_or(name)) else {
                continue;
            };
            let (pairs, _value) = rest.split_once('}').unwrap();
            let pairs = pairs.split(',').filter_map(|pair| pair.split_once('='));
            // A histogram's buckets are what it is, not something to choose by.
            for (label, value) in pairs.filter(|(label, _)| *label != "le") {
                let values = metric.labels.entry(label.to_owned()).or_default();
                values.insert(value.trim_matches('"').to_owned());
            }
        }
    }
    metrics
}

/// Names say their unit at the end; what says none is a number of things.
fn unit(name: &str) -> &str {
    let last = name.rsplit('_').next().unwrap_or(name);
    match last {
        "seconds" | "milliseconds" | "bytes" | "records" | "offset" => last,
        _ => "number",
    }
}

fn labels(metric: &Metric) -> String {
    let each = metric.labels.iter().map(|(label, values)| {
        if CLOSED.contains(&&**label) {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("`{label}`: {}", values.join(", "))
        } else {
            format!("`{label}`")
        }
    });
    each.collect::<Vec<_>>().join("; ")
}
