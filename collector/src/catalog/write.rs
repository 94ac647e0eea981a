//! A catalog as the file that says it: for catalogs that are made in code, so that they go the way
//! of every other one. The inverse of [`super::file`].

use std::fmt::Write;

use tidegate_activation::Secret;
use tidegate_activation::destinations::{Form, Value as Given};
use toml_edit::Value;

use super::{
    Catalog, ConsentDefault, ConsentMap, ConsentMeaning, Destination, GpcPolicy, Source, SourceKind,
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
    text(out, "kind", destination.kind.name());
    for (key, given) in destination.kind.values() {
        match (given, &key.form) {
            (Given::Text(word), _) => text(out, key.name, word),
            (Given::Secrets(secrets), _) => match secrets.as_slice() {
                [one] => text(out, key.name, one.expose()),
                several => value(out, key.name, &several.iter().map(Secret::expose).collect()),
            },
            (Given::Number(ms), Form::Duration { .. }) => text(out, key.name, &format!("{ms}ms")),
            (Given::Number(number), _) => {
                value(out, key.name, &Value::from(number.cast_signed()));
            }
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
    use tidegate_activation::destinations::webhook;

    use super::*;
    use crate::catalog::Segment;
    use crate::catalog::file::{Context, read};
    use crate::document::Document;

    #[test]
    fn a_catalog_reads_back_what_it_wrote() {
        const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let mut kind = webhook::kind("https://ads.example/hook", SECRET);
        let further = "whsec_AfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        kind.set(
            "secret",
            Given::Secrets([SECRET, further].map(Secret::new).into()),
        );
        for (key, number) in [("rps", 7), ("concurrency", 3), ("timeout", 5_000)] {
            kind.set(key, number);
        }
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
                kind,
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
