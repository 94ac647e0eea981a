//! Entries that are allowed and yet open to abuse, as [`crate::settings::caution`] has it of
//! settings: keys that everyone knows since they are printed in our own examples, and what a kind of
//! destination says of its own keys.

use super::{Destination, Source, SourceKind};

/// How a write key that is to be replaced begins, in docs and deploy.
const PLACEHOLDER: &str = "replace-this";
/// The server keys of README.md. Its web keys are no secrets: they stand in every page.
const PUBLISHED_SERVER_KEYS: [&str; 1] = ["shop-server"];

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caution {
    /// The entry and its key.
    pub key: String,
    /// What it lets happen.
    pub danger: &'static str,
    /// What to write instead.
    pub remedy: &'static str,
}

/// Everything that these entries should be asked about.
#[must_use]
pub fn cautions(sources: &[Source], destinations: &[Destination]) -> Vec<Caution> {
    let of_sources = sources.iter().filter_map(published_key);
    let of_destinations = destinations.iter().flat_map(of_destination);
    of_sources.chain(of_destinations).collect()
}

/// Says them in the log.
pub fn warn(sources: &[Source], destinations: &[Destination]) {
    for caution in cautions(sources, destinations) {
        let (key, danger, remedy) = (caution.key, caution.danger, caution.remedy);
        tracing::warn!(key, remedy, "{danger}");
    }
}

fn published_key(source: &Source) -> Option<Caution> {
    let key = source.write_key.as_str();
    let of_server = source.kind == SourceKind::Server && PUBLISHED_SERVER_KEYS.contains(&key);
    (of_server || key.starts_with(PLACEHOLDER)).then(|| Caution {
        key: format!("source \"{}\": write_key", source.name),
        danger: "it is the key of a published example, so that anyone can send in its name",
        remedy: "make one with: openssl rand -hex 16",
    })
}

fn of_destination(destination: &Destination) -> impl Iterator<Item = Caution> {
    let cautions = destination.kind.cautions().into_iter();
    cautions.map(|one| Caution {
        key: format!("destination \"{}\": {}", destination.name, one.key),
        danger: one.danger,
        remedy: one.remedy,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::{Context, read};
    use super::*;
    use crate::document::Document;

    const OWN_SECRET: &str = "whsec_b3duLXNlY3JldC1vd24tc2VjcmV0LW93bg==";

    fn keys(text: &str) -> Vec<String> {
        let document = Document::parse("catalog.toml", text);
        let declared = read(&document, Context::default()).expect("a good catalog");
        let sources = declared.sources.unwrap_or_default();
        let destinations = declared.destinations.unwrap_or_default();
        let found = cautions(&sources, &destinations).into_iter();
        found.map(|one| one.key).collect()
    }

    fn destination(url: &str, secret: &str) -> String {
        format!(
            "[[destination]]\nname = \"ads\"\nkind = \"webhook\"\nsegments = [\"*\"]\n\
             url = \"{url}\"\nsecret = \"{secret}\"\n"
        )
    }

    fn source(kind: &str, key: &str) -> String {
        format!("[[source]]\nname = \"s\"\nkind = \"{kind}\"\nwrite_key = \"{key}\"\n")
    }

    #[test]
    fn plain_http_to_another_machine_is_said() {
        for (url, said) in [
            ("http://ads.example.com/hook", true),
            ("http://192.0.2.1:8080/hook", true),
            ("http://localhost.example.com/hook", true),
            ("https://ads.example.com/hook", false),
            ("http://127.0.0.1:9000/hook", false),
            ("http://[::1]:9000/hook", false),
            ("http://localhost:9000/hook", false),
        ] {
            let expected = said.then(|| "destination \"ads\": url".to_owned());
            let found = keys(&destination(url, OWN_SECRET));
            assert_eq!(found, Vec::from_iter(expected), "{url}");
        }
    }

    #[test]
    fn published_write_keys_are_said() {
        for (kind, key, said) in [
            ("web", "replace-this-key", true),
            ("server", "replace-this-one-too", true),
            ("server", "shop-server", true),
            ("web", "shop-web", false),
            ("server", "5f0c8a", false),
        ] {
            let expected = said.then(|| "source \"s\": write_key".to_owned());
            assert_eq!(keys(&source(kind, key)), Vec::from_iter(expected), "{key}");
        }
    }

    /// Whatever the examples print later must be known here too.
    #[test]
    fn every_secret_of_the_examples_is_said() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut seen = 0;
        for file in [
            "README.md",
            "docs/webhooks.md",
            "docs/catalog.md",
            "docs/operations.md",
            "deploy/catalog.example.toml",
        ] {
            let text = std::fs::read_to_string(root.join(file)).unwrap();
            for (at, _) in text.match_indices("\"whsec_") {
                let secret = text[at + 1..].split('"').next().unwrap();
                if !secret
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_+/=".contains(c))
                {
                    continue;
                }
                seen += 1;
                let found = keys(&destination("https://ads.example.com/hook", secret));
                assert_eq!(found, ["destination \"ads\": secret"], "{file}: {secret}");
            }
        }
        assert!(seen >= 2, "the examples moved");
    }
}
