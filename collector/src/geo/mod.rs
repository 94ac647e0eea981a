//! GeoIP databases (MaxMind DB format), read wholly into memory and swapped while in use. Loading
//! checks a whole file, so that a broken one is refused and the one in use stays.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use tidegate_event::Geo;

use crate::fingerprint::Fingerprint;
use crate::pipeline::enrich::GeoLookup;
use crate::settings::Geoip;

#[cfg(test)]
mod tests;

/// The databases in use.
#[derive(Debug, Default)]
pub struct GeoDatabases {
    current: ArcSwap<Loaded>,
}

/// Checked databases, not yet in use.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Looked at before they were read: a change in between is seen the next time.
    files: [Option<(PathBuf, Option<Fingerprint>)>; 2],
    city: Option<Reader<Vec<u8>>>,
    asn: Option<Reader<Vec<u8>>>,
}

/// Why a database was refused.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The file cannot be read.
    #[error("geoip database {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is broken.
    #[error("geoip database {path} is broken: {source}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where and how.
        source: MaxMindDbError,
    },
    /// A database of another kind.
    #[error("geoip database {path} is of type {found}, {setting} needs {expected}")]
    WrongType {
        /// The file.
        path: PathBuf,
        /// Its type.
        found: String,
        /// The setting that named it.
        setting: &'static str,
        /// The types that it takes.
        expected: &'static str,
    },
}

impl GeoDatabases {
    /// Reads and checks the configured files; without any, every look-up is empty. Blocks: a large
    /// database takes about a second.
    ///
    /// # Errors
    /// [`GeoError`]
    pub fn load(settings: &Geoip) -> Result<Self, GeoError> {
        let current = ArcSwap::from_pointee(Loaded::read(settings)?);
        Ok(Self { current })
    }

    /// Reads and checks the files again, where their names or the files themselves changed since
    /// those in use were read; None where they did not. Blocks as [`Self::load`] does.
    ///
    /// # Errors
    /// [`GeoError`]; the databases in use stay.
    pub fn prepare(&self, settings: &Geoip) -> Result<Option<Loaded>, GeoError> {
        let current = self.current.load();
        if current.files == files(settings) {
            return Ok(None);
        }
        Loaded::read(settings).map(Some)
    }

    /// Puts databases into use; a look-up sees the old ones or the new ones, never one of each.
    pub fn put(&self, loaded: Loaded) {
        self.current.store(std::sync::Arc::new(loaded));
    }
}

fn files(settings: &Geoip) -> [Option<(PathBuf, Option<Fingerprint>)>; 2] {
    [&settings.city, &settings.asn].map(|path| {
        let path = path.as_ref()?;
        Some((path.clone(), Fingerprint::of(path)))
    })
}

impl Loaded {
    fn read(settings: &Geoip) -> Result<Self, GeoError> {
        let open = |path: &Option<PathBuf>, setting, kinds, expected| {
            path.as_deref()
                .map(|path| open(path, setting, kinds, expected))
                .transpose()
        };
        let files = files(settings);
        Ok(Self {
            files,
            city: open(
                &settings.city,
                "geoip.city",
                &["City", "Country", "Enterprise"],
                "a City, Country or Enterprise database",
            )?,
            asn: open(
                &settings.asn,
                "geoip.asn",
                &["ASN", "ISP"],
                "an ASN or ISP database",
            )?,
        })
    }
}

fn open(
    path: &Path,
    setting: &'static str,
    kinds: &[&str],
    expected: &'static str,
) -> Result<Reader<Vec<u8>>, GeoError> {
    let bytes = std::fs::read(path).map_err(|source| GeoError::Read {
        path: path.to_owned(),
        source,
    })?;
    let broken = |source| GeoError::Broken {
        path: path.to_owned(),
        source,
    };
    let reader = Reader::from_source(bytes).map_err(broken)?;
    let found = &reader.metadata().database_type;
    if !kinds.iter().any(|kind| found.contains(kind)) {
        return Err(GeoError::WrongType {
            path: path.to_owned(),
            found: found.clone(),
            setting,
            expected,
        });
    }
    reader.verify().map_err(broken)?;
    Ok(reader)
}

#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    country: Option<Country<'a>>,
    city: Option<City<'a>>,
}

#[derive(Deserialize)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct City<'a> {
    #[serde(borrow)]
    names: Option<Names<'a>>,
}

#[derive(Deserialize)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Deserialize)]
struct Network {
    autonomous_system_number: Option<u32>,
}

impl GeoLookup for GeoDatabases {
    fn lookup(&self, ip: IpAddr) -> Geo {
        let current = self.current.load();
        let place = current
            .city
            .as_ref()
            .and_then(|city| city.lookup(ip).ok()?.decode::<Place<'_>>().ok()?);
        let network = current
            .asn
            .as_ref()
            .and_then(|asn| asn.lookup(ip).ok()?.decode::<Network>().ok()?);
        let (country, city) = place.map_or((None, None), |place| (place.country, place.city));
        Geo {
            country: country.and_then(|country| country.iso_code).map(Box::from),
            city: city.and_then(|city| city.names?.en).map(Box::from),
            asn: network.and_then(|network| network.autonomous_system_number),
        }
    }
}
