//! The documentation's examples compile; its tables name every field.

use super::support::{mistakes, sources};
use crate::{CampaignField, DeviceField, GeoField, PageField, ProfileField, SessionField, compile};

const PAGE: &str = include_str!("../../../docs/expressions.md");

/// The lines of the fenced blocks of this language.
fn examples(language: &str) -> Vec<&'static str> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        if line.starts_with("```") {
            inside = !inside && line == format!("```{language}");
        } else if inside && !line.trim().is_empty() {
            lines.push(line);
        }
    }
    lines
}

#[test]
fn every_example_compiles() {
    let examples = examples("cel");
    assert!(examples.len() >= 20, "{}", examples.len());
    if let Err(errors) = compile(&sources(&examples)) {
        panic!("{errors:#?}");
    }
}

#[test]
fn every_counterexample_is_refused() {
    let examples = examples("cel-refused");
    assert!(examples.len() >= 5, "{}", examples.len());
    for example in examples {
        assert_ne!(mistakes(example), [], "{example}");
    }
}

#[test]
fn every_field_is_documented() {
    let mut names: Vec<String> = ["event.name", "event.type", "source.name", "now"]
        .map(str::to_owned)
        .to_vec();
    names.extend(
        PageField::ALL
            .iter()
            .map(|field| format!("page.{}", field.as_str())),
    );
    names.extend(
        SessionField::ALL
            .iter()
            .map(|field| format!("session.{}", field.as_str())),
    );
    names.extend(
        ProfileField::ALL
            .iter()
            .map(|field| format!("profile.{}", field.as_str())),
    );
    names.extend(
        GeoField::ALL
            .iter()
            .map(|field| format!("geo.{}", field.as_str())),
    );
    names.extend(
        DeviceField::ALL
            .iter()
            .map(|field| format!("device.{}", field.as_str())),
    );
    names.extend(
        CampaignField::ALL
            .iter()
            .map(|field| format!("campaign.{}", field.as_str())),
    );
    for name in names {
        assert!(
            PAGE.contains(&format!("`{name}`")),
            "{name} is not in the documentation"
        );
    }
}
