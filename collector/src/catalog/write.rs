//! A catalog as the file that says it: for catalogs that are made in code, so that they go the way
//! of every other one. The inverse of [`super::file`].

use std::fmt::Write;

use toml_edit::Value;

use super::{
    Catalog, ConsentDefault, ConsentMap, ConsentMeaning, Destination, DestinationKind, GpcPolicy,
    Source, SourceKind,
};

/// The file.
#[must_use]
pub fn toml(catalog: &Catalog) -> String {
    let mut out = String::new();
    for source in &catalog.sources {
        write_source(&mut out, source);
    }
    for segment in &catalog.segments {
        out.push_str("[[segment]]\n");
        text(&mut out, "name", &segment.name);
        text(&mut out, "when", &segment.when);
        text(
            &mut out,
            "wake_up_max_delay",
            &format!("{}ms", segment.wake_up_max_delay_ms),
        );
    }
    for destination in &catalog.destinations {
        write_destination(&mut out, destination);
    }
    out
}

fn write_source(out: &mut String, source: &Source) {
    out.push_str("[[source]]\n");
    text(out, "name", &source.name);
    text(out, "write_key", &source.write_key);
    let kind = match source.kind {
        SourceKind::Web => "web",
        SourceKind::Server => "server",
    };
    text(out, "kind", kind);
    list(out, "origins", &source.origins);
    text(out, "session_gap", &format!("{}ms", source.session_gap_ms));
    let consent = match source.consent_default {
        ConsentDefault::Granted => "granted",
        ConsentDefault::Anonymous => "anonymous",
        ConsentDefault::Denied => "denied",
    };
    text(out, "consent_default", consent);
    let gpc = match source.gpc {
        GpcPolicy::Anonymous => "anonymous",
        GpcPolicy::NoShare => "no-share",
    };
    text(out, "gpc", gpc);
    value(out, "dnt", &Value::from(source.dnt));
    list(out, "conversions", &source.conversions);
    if let Some(limit) = source.rate_limit {
        value(out, "rate_limit", &Value::from(i64::from(limit.get())));
    }
    if !source.consent_map.is_empty() {
        value(out, "consent_map", &consent_map(&source.consent_map));
    }
}

fn consent_map(map: &ConsentMap) -> Value {
    let meanings = map.iter().map(|(id, meaning)| {
        let meaning = match meaning {
            ConsentMeaning::Analytics => "analytics",
            ConsentMeaning::Advertising => "advertising",
            ConsentMeaning::Ignore => "ignore",
        };
        (id.as_str(), meaning)
    });
    Value::InlineTable(meanings.collect())
}

fn write_destination(out: &mut String, destination: &Destination) {
    out.push_str("[[destination]]\n");
    text(out, "name", &destination.name);
    list(out, "segments", &destination.segments);
    match &destination.kind {
        DestinationKind::Webhook {
            url,
            secret,
            further_secrets,
            rps,
            concurrency,
            timeout_ms,
        } => {
            text(out, "kind", "webhook");
            text(out, "url", url);
            if further_secrets.is_empty() {
                text(out, "secret", secret);
            } else {
                let secrets = [std::slice::from_ref(secret), further_secrets].concat();
                list(out, "secret", &secrets);
            }
            value(out, "rps", &Value::from(i64::from(*rps)));
            value(out, "concurrency", &Value::from(i64::from(*concurrency)));
            text(out, "timeout", &format!("{timeout_ms}ms"));
        }
    }
}

fn text(out: &mut String, key: &str, word: &str) {
    value(out, key, &Value::from(word));
}

fn list(out: &mut String, key: &str, words: &[String]) {
    value(
        out,
        key,
        &words.iter().map(String::as_str).collect::<Value>(),
    );
}

fn value(out: &mut String, key: &str, value: &Value) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{key} = {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Segment;
    use crate::catalog::file::{Context, read};
    use crate::document::Document;

    #[test]
    fn a_catalog_reads_back_what_it_wrote() {
        let catalog = Catalog {
            sources: vec![Source {
                name: "shop".to_owned(),
                write_key: "a-long-key".to_owned(),
                kind: SourceKind::Web,
                origins: vec!["https://shop.example".to_owned()],
                session_gap_ms: 600_000,
                consent_default: ConsentDefault::Anonymous,
                gpc: GpcPolicy::NoShare,
                dnt: true,
                conversions: vec!["Order Completed".to_owned()],
                rate_limit: None,
                consent_map: ConsentMap::from([
                    ("C0001".to_owned(), ConsentMeaning::Ignore),
                    ("an id".to_owned(), ConsentMeaning::Analytics),
                ]),
            }],
            segments: vec![Segment {
                name: "pricing".to_owned(),
                when: r#"page.path.startsWith("/pricing")"#.to_owned(),
                wake_up_max_delay_ms: 3_600_000,
            }],
            destinations: vec![Destination {
                name: "ads".to_owned(),
                segments: vec!["pricing".to_owned()],
                kind: DestinationKind::Webhook {
                    url: "https://ads.example/hook".to_owned(),
                    secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
                    further_secrets: vec!["whsec_AfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()],
                    rps: 7,
                    concurrency: 3,
                    timeout_ms: 5_000,
                },
            }],
            ..Catalog::default()
        };
        let declared = read(
            &Document::parse("made", &toml(&catalog)),
            Context::default(),
        )
        .unwrap();
        assert_eq!(declared.sources, Some(catalog.sources));
        assert_eq!(declared.segments, Some(catalog.segments));
        assert_eq!(declared.destinations, Some(catalog.destinations));
    }
}
