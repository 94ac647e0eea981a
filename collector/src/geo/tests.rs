use std::path::PathBuf;

use super::*;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/geoip/"
    ))
    .join(format!("{name}.mmdb"))
}

fn city(name: &str) -> Geoip {
    Geoip {
        city: Some(fixture(name)),
        asn: None,
    }
}

fn geo(country: Option<&str>, city: Option<&str>, asn: Option<u32>) -> Geo {
    Geo {
        country: country.map(Box::from),
        city: city.map(Box::from),
        asn,
    }
}

fn look_up(databases: &GeoDatabases, ip: &str) -> Geo {
    databases.lookup(ip.parse().unwrap())
}

#[test]
fn an_address_gets_its_country_city_and_network() {
    let databases = GeoDatabases::load(&Geoip {
        city: Some(fixture("GeoLite2-City-Test")),
        asn: Some(fixture("GeoLite2-ASN-Test")),
    })
    .unwrap();
    for (ip, expected) in [
        ("81.2.69.142", geo(Some("GB"), Some("London"), None)),
        (
            "89.160.20.112",
            geo(Some("SE"), Some("Linköping"), Some(29518)),
        ),
        ("67.43.156.0", geo(Some("BT"), None, Some(35908))),
        ("1.128.0.0", geo(None, None, Some(1221))),
        ("12.81.96.0", geo(None, None, Some(7018))),
        ("2001:218::1", geo(Some("JP"), None, None)),
        ("8.8.8.8", Geo::default()),
        ("127.0.0.1", Geo::default()),
        ("::1", Geo::default()),
    ] {
        assert_eq!(look_up(&databases, ip), expected, "{ip}");
    }
}

#[test]
fn a_country_database_serves_as_city() {
    let databases = GeoDatabases::load(&city("GeoLite2-Country-Test")).unwrap();
    let found = look_up(&databases, "81.2.69.142");
    assert_eq!(found, geo(Some("GB"), None, None));
}

#[test]
fn without_databases_every_answer_is_empty() {
    let databases = GeoDatabases::load(&Geoip::default()).unwrap();
    assert_eq!(look_up(&databases, "81.2.69.142"), Geo::default());
}

#[test]
fn a_broken_file_is_refused_and_the_old_one_stays() {
    let databases = GeoDatabases::load(&city("GeoIP2-City-Test")).unwrap();
    let before = look_up(&databases, "81.2.69.142");
    assert_eq!(before.city.as_deref(), Some("London"));
    for name in [
        "GeoIP2-City-Test-Broken-Double-Format",
        "GeoIP2-City-Test-Invalid-Node-Count",
    ] {
        let error = databases.prepare(&city(name)).unwrap_err();
        assert!(matches!(error, GeoError::Broken { .. }), "{name}: {error}");
        assert_eq!(look_up(&databases, "81.2.69.142"), before, "{name}");
    }
    // These two name no kind that we take; with the right name they are found broken.
    for name in [
        "MaxMind-DB-test-broken-pointers-24",
        "MaxMind-DB-test-broken-search-tree-24",
    ] {
        let error = databases.prepare(&city(name)).unwrap_err();
        assert!(
            matches!(error, GeoError::WrongType { .. }),
            "{name}: {error}"
        );
        let error = open(&fixture(name), "geoip.city", &["Test"], "any").unwrap_err();
        assert!(matches!(error, GeoError::Broken { .. }), "{name}: {error}");
    }
}

#[test]
fn a_missing_or_foreign_file_is_named() {
    let missing = GeoDatabases::load(&city("no-such")).unwrap_err();
    assert!(matches!(missing, GeoError::Read { .. }));
    assert!(missing.to_string().contains("no-such.mmdb"));
    let swapped = Geoip {
        city: None,
        asn: Some(fixture("GeoLite2-City-Test")),
    };
    let wrong = GeoDatabases::load(&swapped).unwrap_err();
    assert!(matches!(wrong, GeoError::WrongType { .. }), "{wrong}");
}

#[test]
fn a_cut_or_scrambled_file_never_panics() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cut.mmdb");
    let whole = std::fs::read(fixture("GeoLite2-City-Test")).unwrap();
    let settings = Geoip {
        city: Some(path.clone()),
        asn: None,
    };
    for len in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..len]).unwrap();
        assert!(GeoDatabases::load(&settings).is_err(), "{len}");
    }
    for seed in 0..40_usize {
        let mut bytes = whole.clone();
        for step in 0..200 {
            let at = (seed * 7_919 + step * 104_729) % bytes.len();
            bytes[at] = bytes[at].wrapping_add(31);
        }
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(databases) = GeoDatabases::load(&settings) {
            for ip in 0..=255 {
                look_up(&databases, &format!("{ip}.2.69.142"));
            }
        }
    }
}

#[test]
fn a_reload_swaps_the_database_under_readers() {
    let databases = GeoDatabases::load(&Geoip::default()).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            // Ends when the swap is seen: the test hangs where it never is.
            while look_up(&databases, "81.2.69.142").country.is_none() {}
        });
        let loaded = databases.prepare(&city("GeoLite2-City-Test")).unwrap();
        databases.put(loaded.unwrap());
        reader.join().unwrap();
    });
}
