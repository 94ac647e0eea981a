//! The files that the settings name, each read as a start reads it and let go again: what is wrong
//! with any of them, before there is a start that fails. The catalog has a reading of its own.

use crate::admin::{self, Token};
use crate::cursors::kafka;
use crate::device;
use crate::edge;
use crate::geo::GeoDatabases;
use crate::not_built;
use crate::settings::file::Unusable;
use crate::settings::{Geoip, Settings};

/// Every one that will not do.
#[must_use]
pub fn unusable(settings: &Settings) -> Vec<Unusable> {
    let note = |key, error: &dyn std::fmt::Display| Unusable {
        key,
        error: error.to_string(),
    };
    let mut found = Vec::new();
    if settings.edge.https.is_some() {
        found.extend(edge::unusable(&settings.edge.tls));
    }
    let admin = &settings.admin;
    if let Some(Err(error)) = admin.token_file.as_deref().map(Token::load) {
        found.push(note("admin.token_file", &error));
    }
    if let Some(Err(error)) = admin.tls.as_ref().map(admin::tls::acceptor) {
        found.push(note("admin.tls.cert", &error));
    }
    let Geoip { city, asn } = settings.geoip.clone();
    let none = Geoip::default();
    for (key, alone) in [
        (
            "geoip.city",
            Geoip {
                city,
                ..none.clone()
            },
        ),
        ("geoip.asn", Geoip { asn, ..none }),
    ] {
        if let Err(error) = GeoDatabases::load(&alone) {
            found.push(note(key, &error));
        }
    }
    let user_agents = device::unusable(&settings.user_agents);
    found.extend(user_agents.iter().map(|error| note(error.setting(), error)));
    let missing = not_built::unusable(settings);
    let kafka = settings.kafka.as_ref().filter(|_| missing.is_empty());
    if let Some(Err(error)) = kafka.map(kafka::check) {
        found.push(note("kafka.properties", &error));
    }
    found.extend(missing);
    found
}
