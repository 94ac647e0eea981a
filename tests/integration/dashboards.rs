//! The dashboard and the alert rules name only metrics and labels that a real gateway has, and each
//! alert has its lines in the operator's handbook.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tidegate_tests::{Config, Gateway, eventually, turn};

/// What Prometheus itself adds to every series.
const ADDED_LABELS: [&str; 2] = ["instance", "job"];

type Metrics = BTreeMap<String, BTreeSet<String>>;

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).unwrap()
}

/// Every series' name with the labels it comes with.
fn metrics(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let known = metrics.entry(name.to_owned()).or_default();
        known.extend(labels_in(labels.trim_end_matches('}')));
    }
    metrics
}

/// The names before `=`, `!=`, `=~` and `!~` of a list of matchers.
fn labels_in(matchers: &str) -> Vec<String> {
    let mut labels = Vec::new();
    // Quoted values may hold anything; their place is every second one.
    for part in matchers.split('"').step_by(2) {
        let name = part
            .trim_matches([',', ' '])
            .trim_end_matches(['=', '~', '!']);
        if !name.is_empty() {
            labels.push(name.trim().to_owned());
        }
    }
    labels
}

/// Each metric of ours that an expression names, with the labels it matches on.
fn used(expression: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find("tidegate_") {
        rest = &rest[start..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
        let matchers = after
            .strip_prefix('{')
            .and_then(|after| after.split('}').next());
        found.push((name.to_owned(), labels_in(matchers.unwrap_or(""))));
        rest = after;
    }
    found
}

/// The labels of `by (...)` and of `{{label}}`.
fn grouped(expression: &str, legend: &str) -> BTreeSet<String> {
    let groups = expression.split("by (").skip(1);
    let names = groups.flat_map(|group| group.split(')').next().unwrap().split(','));
    let shown = legend
        .split("{{")
        .skip(1)
        .map(|part| part.split("}}").next().unwrap());
    names
        .chain(shown)
        .map(|name| name.trim().to_owned())
        .collect()
}

fn assert_exists(metrics: &Metrics, expression: &str, legend: &str) {
    let used = used(expression);
    let known = |labels: &BTreeSet<String>, label: &String| {
        labels.contains(label) || ADDED_LABELS.contains(&label.as_str())
    };
    for (name, labels) in &used {
        let Some(own) = metrics.get(name) else {
            panic!("no metric {name}: {expression}");
        };
        for label in labels {
            assert!(
                known(own, label),
                "{name} has no label {label}: {expression}"
            );
        }
    }
    for label in grouped(expression, legend) {
        let found = used.iter().any(|(name, _)| known(&metrics[name], &label));
        assert!(found, "nothing in {expression} has a label {label}");
    }
}

/// Every `expr` of the dashboard with its legend, wherever it stands.
fn expressions(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            if let Some(expression) = value["expr"].as_str() {
                let legend = value["legendFormat"].as_str().unwrap_or("");
                found.push((expression.to_owned(), legend.to_owned()));
            }
            members.values().for_each(|value| expressions(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| expressions(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The `key: value` lines of the rules; a folded value goes on in deeper lines.
fn values(rules: &str, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let text = line.trim_start().trim_start_matches("- ");
        let depth = line.len() - text.len();
        let Some(value) = text
            .strip_prefix(key)
            .and_then(|rest| rest.strip_prefix(": "))
        else {
            continue;
        };
        let mut value = value.trim_start_matches(">-").to_owned();
        let deeper = |line: &&str| line.len() - line.trim_start().len() > depth;
        while let Some(more) = lines.next_if(deeper) {
            value.push(' ');
            value.push_str(more.trim());
        }
        found.push(value);
    }
    found
}

#[test]
fn dashboard_and_alerts_name_only_what_a_gateway_has() {
    let _turn = turn();
    // Nothing listens on the discard port: errors of the Kafka client are shown by kind.
    let config = Config::new()
        .set("edge", "https", "\"127.0.0.1:0\"")
        .kafka("127.0.0.1:9", "dashboards")
        .segment("any", "event.name == 'Hello'")
        .webhook("ads", "http://127.0.0.1:9/hook", &["any"]);
    let gateway = Gateway::start(&config);
    let event = json!({"type": "track", "event": "Hello", "anonymousId": "a"});
    assert_eq!(gateway.post(&event).status, 200);
    eventually("an error of the Kafka client", || {
        gateway.metric("tidegate_kafka_errors_total", "kind=")
    });
    let metrics = metrics(&gateway.admin("/metrics").text());

    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/tidegate.json")).unwrap();
    let mut shown = Vec::new();
    expressions(&dashboard, &mut shown);
    assert!(shown.len() > 30, "{} expressions", shown.len());
    for (expression, legend) in &shown {
        assert_exists(&metrics, expression, legend);
    }
    let query = dashboard["templating"]["list"][1]["query"]
        .as_str()
        .unwrap();
    assert_exists(&metrics, query, "");

    let rules = file("deploy/prometheus/alerts.yml");
    let alerts = values(&rules, "expr");
    assert_eq!(alerts.len(), values(&rules, "alert").len());
    for expression in &alerts {
        assert_exists(&metrics, expression, "");
    }
}

#[test]
fn the_ids_and_places_of_the_panels_are_their_own() {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/tidegate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    let places: BTreeSet<_> = panels
        .iter()
        .map(|panel| {
            (
                panel["gridPos"]["y"].as_u64(),
                panel["gridPos"]["x"].as_u64(),
            )
        })
        .collect();
    assert_eq!((ids.len(), places.len()), (panels.len(), panels.len()));
}

#[test]
fn every_alert_has_its_lines_in_the_handbook() {
    let rules = file("deploy/prometheus/alerts.yml");
    let alerts = values(&rules, "alert");
    let links = values(&rules, "runbook");
    assert!(alerts.len() > 10, "{alerts:?}");
    for (alert, link) in alerts.iter().zip(&links) {
        assert_eq!(
            *link,
            format!("docs/operations.md#{}", alert.to_lowercase())
        );
    }
    let handbook = file("docs/operations.md");
    let headings = handbook
        .lines()
        .filter_map(|line| line.strip_prefix("### Tidegate"));
    let headings: BTreeSet<String> = headings.map(|rest| format!("Tidegate{rest}")).collect();
    assert_eq!(headings, alerts.into_iter().collect());
}

#[test]
fn a_metric_that_is_none_is_noticed() {
    let metrics = metrics("# TYPE x counter\ntidegate_x_total{kind=\"a,b\"} 1\ntidegate_y 2\n");
    assert_eq!(
        metrics["tidegate_x_total"],
        BTreeSet::from(["kind".to_owned()])
    );
    assert_exists(
        &metrics,
        "sum by (kind) (tidegate_x_total{kind=~\"a|b\"})",
        "{{kind}}",
    );
    for (wrong, legend) in [
        ("tidegate_z", ""),
        ("tidegate_x_total{other=\"1\"}", ""),
        ("sum by (other) (tidegate_x_total)", ""),
        ("tidegate_y", "{{kind}}"),
    ] {
        let noticed = std::panic::catch_unwind(|| assert_exists(&metrics, wrong, legend));
        assert!(noticed.is_err(), "{wrong} {legend}");
    }
}
