//! `[geoip]`: where the MaxMind files are.

use std::path::PathBuf;

use super::declare::When::Live;
use super::declare::{key, section};
use super::kind::path;

section! {
    /// `[geoip]`
    pub struct Geoip {
        /// A MaxMind City or Country database.
        city: Option<PathBuf> = None
            => key("geoip.city", Live, path().optional()).unset(r#""City.mmdb""#),

        /// A MaxMind ASN database.
        asn: Option<PathBuf> = None
            => key("geoip.asn", Live, path().optional()).unset(r#""ASN.mmdb""#),
    }
}
