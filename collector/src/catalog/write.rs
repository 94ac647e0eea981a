//! A catalog as the file that says it: for catalogs that are made in code, so that they go the way
//! of every other one. The inverse of [`super::file`].

use std::fmt::Write;

use toml_edit::Value;

use super::Catalog;
use super::entry::CatalogEntry;

/// The file.
#[must_use]
pub fn toml(catalog: &Catalog) -> String {
    let mut out = String::new();
    write_all(&mut out, &catalog.sources);
    write_all(&mut out, &catalog.segments);
    write_all(&mut out, &catalog.destinations);
    out
}

fn write_all<T: CatalogEntry>(out: &mut String, entries: &[T]) {
    for entry in entries {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "[[{}]]", T::KIND.as_str());
        entry.write(out);
    }
}

pub(super) fn text(out: &mut String, key: &str, word: &str) {
    value(out, key, &Value::from(word));
}

pub(super) fn list(out: &mut String, key: &str, words: &[String]) {
    value(
        out,
        key,
        &words.iter().map(String::as_str).collect::<Value>(),
    );
}

pub(super) fn value(out: &mut String, key: &str, value: &Value) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{key} = {value}");
}

#[cfg(test)]
mod tests {
    use tidegate_activation::Secret;
    use tidegate_activation::destinations::{Value, webhook};

    use super::toml;
    use crate::catalog::file::{Context, read};
    use crate::catalog::{
        Catalog, ConsentDefault, ConsentMap, ConsentMeaning, Destination, GpcPolicy, Segment,
        Source, SourceKind,
    };
    use crate::document::Document;

    #[test]
    fn a_catalog_reads_back_what_it_wrote() {
        const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let mut kind = webhook::kind("https://ads.example/hook", SECRET);
        let further = "whsec_AfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        kind.set(
            "secret",
            Value::Secrets([SECRET, further].map(Secret::new).into()),
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
