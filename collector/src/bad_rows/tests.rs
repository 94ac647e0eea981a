use super::*;
use tidegate_event::{Json, Pulses};

fn row<'a>(reason: &'a str, payload: &'a [u8]) -> BadRow<'a> {
    BadRow {
        at: Timestamp(0),
        source: "shop",
        outcome: Outcome::Invalid,
        reason,
        path: "$.event",
        payload,
        is_json: true,
    }
}

fn start(dir: &Path, bytes_max: u64) -> BadRows {
    let settings = settings::BadRows {
        bytes_max,
        retention_ms: 1_000,
    };
    let pulse = Pulses::default().register("bad-rows", 60_000);
    BadRows::start(dir, &settings, &mut Registry::default(), pulse).unwrap()
}

fn text<'a>(row: &'a Json<'_>, key: &str) -> &'a str {
    row.get(key).and_then(Json::as_str).unwrap()
}

#[test]
fn a_row_tells_where_and_why_but_no_value() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path(), 1 << 20).keep(&row(
        "expected a string",
        br#"{"event":7,"email":"ada@example.com"}"#,
    ));
    let rows = start(dir.path(), 1 << 20).last(10).unwrap();
    assert_eq!(rows.len(), 1);
    assert!(!rows[0].contains("ada"), "{}", rows[0]);
    let row: Json<'_> = serde_json::from_str(&rows[0]).unwrap();
    assert_eq!(text(&row, "at"), "1970-01-01T00:00:00.000Z");
    assert_eq!(text(&row, "source"), "shop");
    assert_eq!(text(&row, "outcome"), "invalid");
    assert_eq!(text(&row, "reason"), "expected a string");
    assert_eq!(text(&row, "path"), "$.event");
    assert_eq!(row.get("size"), Some(&Json::Int(37)));
    assert_eq!(text(&row, "payload"), r#"{"event":0,"email":"***"}"#);
}

#[test]
fn rows_survive_a_restart_and_come_newest_first() {
    let dir = tempfile::tempdir().unwrap();
    for reason in ["first", "second", "third"] {
        start(dir.path(), 1 << 20).keep(&row(reason, b"{}"));
    }
    let rows = start(dir.path(), 1 << 20).last(2).unwrap();
    let reasons: Vec<_> = rows
        .iter()
        .map(|line| serde_json::from_str::<Json<'_>>(line).unwrap())
        .map(|row| text(&row, "reason").to_owned())
        .collect();
    assert_eq!(reasons, ["third", "second"]);
}

#[test]
fn the_oldest_go_when_the_space_is_used_up() {
    let dir = tempfile::tempdir().unwrap();
    let bytes_max = 4_096;
    {
        let rows = start(dir.path(), bytes_max);
        for n in 0..200 {
            rows.keep(&row(&format!("reason {n}"), b"{}"));
        }
    }
    let rows = start(dir.path(), bytes_max);
    assert!(rows.bytes() <= bytes_max, "{}", rows.bytes());
    let last = rows.last(1_000).unwrap();
    assert!(last.len() > 5, "{}", last.len());
    assert!(last[0].contains("reason 199"));
    for (line, n) in last.iter().zip((0..200).rev()) {
        assert!(line.contains(&format!("\"reason {n}\"")), "{line}");
    }
}

#[test]
fn a_full_queue_drops_and_counts_instead_of_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let rows = start(dir.path(), 1 << 20);
    let blocked = rows.inner.store.lock();
    let sent = QUEUE_ROWS_MAX + 100;
    for _ in 0..sent {
        rows.keep(&row("flood", b"{}"));
    }
    // The writer may hold one row while it waits for the store.
    assert!(rows.inner.dropped.get() >= 99);
    assert_eq!(
        rows.inner.kept.get() + rows.inner.dropped.get(),
        sent as u64
    );
    drop(blocked);
}

#[test]
fn rows_go_at_their_age_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let at = |ms: i64| BadRow {
        at: Timestamp(ms),
        ..row("aged", b"{}")
    };
    for ms in [0, 400] {
        start(dir.path(), 1 << 20).keep(&at(ms));
    }
    let rows = start(dir.path(), 1 << 20);
    let left = |rows: &BadRows| rows.last(10).unwrap().len();
    rows.expire(Timestamp(499)).unwrap();
    assert_eq!((left(&rows), rows.inner.expired.get()), (2, 0));
    // Half the age: they move aside, and a new file begins.
    rows.expire(Timestamp(500)).unwrap();
    drop(rows);
    start(dir.path(), 1 << 20).keep(&at(600));
    let rows = start(dir.path(), 1 << 20);
    assert_eq!(left(&rows), 3);
    rows.expire(Timestamp(999)).unwrap();
    assert_eq!(left(&rows), 3);
    rows.expire(Timestamp(1_000)).unwrap();
    assert_eq!((left(&rows), rows.inner.expired.get()), (1, 2));
    // After a long stop all go at once.
    rows.expire(Timestamp(100_000)).unwrap();
    assert_eq!((left(&rows), rows.inner.expired.get()), (0, 3));
    assert_eq!(rows.bytes(), 0);
}

#[test]
fn a_name_that_is_a_value_is_masked() {
    let line = line(&row(
        "no",
        br#"{"properties":{"Ada Lovelace":1,"ada":2,"price":3}}"#,
    ));
    let line = String::from_utf8(line).unwrap();
    assert!(!line.to_lowercase().contains("ada"), "{line}");
    assert!(line.contains("price"), "{line}");
}

#[test]
fn a_long_payload_is_cut_and_its_size_told() {
    let long = format!(r#"{{"items":[{}1]}}"#, "1,".repeat(5_000));
    let line = String::from_utf8(line(&row("too large", long.as_bytes()))).unwrap();
    assert!(line.len() < 1_400, "{}", line.len());
    assert!(line.contains(&format!("\"size\":{}", long.len())));
    let reason = "ä".repeat(600);
    assert_eq!(cut(&reason).len(), 512);
}
