use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::keys::KEYS;
use super::{Ack, Cidr, Kafka, Settings, When, change, file, keys};
use crate::document::committed::assert_written_from_code;
use crate::document::{Document, Environment, Reader};

fn read(text: &str) -> Result<Settings, Vec<String>> {
    read_with(text, &[])
}

fn read_with(text: &str, environment: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let environment: Environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let document = Document::parse("tidegate.toml", text);
    file::read(&document, &environment, Path::new(""))
        .map_err(|faults| faults.iter().map(ToString::to_string).collect())
}

fn faults(text: &str) -> Vec<String> {
    read(text).expect_err("has mistakes")
}

#[test]
fn a_bad_https_address_makes_no_second_mistake_of_the_certificate() {
    let text = "[edge]\nhttps = \"nowhere\"\n[edge.tls]\ncert = \"c\"\nkey = \"k\"\n";
    let faults = faults(text);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("edge.https"), "{faults:?}");
}

#[test]
fn the_reference_and_the_example_are_what_the_code_writes() {
    assert_written_from_code("docs/config.md", &keys::reference());
    assert_written_from_code("deploy/tidegate.example.toml", &keys::example());
}

#[test]
fn the_example_is_the_defaults_and_so_is_no_file_at_all() {
    assert_eq!(read(&keys::example()), Ok(Settings::default()));
    assert_eq!(read(""), Ok(Settings::default()));
}

#[test]
fn the_list_of_keys_is_the_list_that_is_read() {
    let document = Document::parse("t", "");
    let environment = Environment::new();
    let reader = Reader::new(&document, &environment);
    file::read_all(&reader, Path::new(""));
    let asked: BTreeSet<String> = reader.asked().into_iter().collect();
    let mut listed: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    for tables in TABLES {
        assert!(listed.remove(tables), "{tables}");
    }
    assert_eq!(listed, asked);
}

/// Keys with tables of their own below them, which no single variable holds.
const TABLES: [&str; 2] = ["kafka.properties", "edge.tls.certificates"];

/// One whole file in which every key is set to its sample.
fn samples() -> String {
    let mut text = String::new();
    for key in KEYS.iter().filter(|key| key.path != "cookie.domain") {
        let (section, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if section.is_empty() {
            text.push_str(&format!("{name} = {}\n", key.sample));
        } else {
            text.push_str(&format!("{section}.{name} = {}\n", key.sample));
        }
    }
    text
}

#[test]
fn every_sample_is_a_legal_value() {
    let settings = read(&samples()).unwrap();
    assert_eq!(settings.catalog, Some(PathBuf::from("catalog.toml")));
    let kafka = settings.kafka.unwrap();
    assert_eq!(
        kafka,
        Kafka {
            properties: vec![("compression.type".to_owned(), "lz4".to_owned())],
            ..Kafka::with_brokers("127.0.0.1:9092".to_owned())
        }
    );
}

#[test]
fn every_key_refuses_a_value_of_another_type_at_its_own_place() {
    for key in KEYS.iter() {
        let (section, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        let header = if section.is_empty() {
            String::new()
        } else {
            format!("[{section}]")
        };
        let told = faults(&format!("{header}\n{name} = 2026-01-01\n"));
        let at = format!("tidegate.toml:2:{}: {}: ", name.len() + 4, key.path);
        assert!(
            told.iter().any(|fault| fault.starts_with(&at)),
            "{} {told:#?}",
            key.path
        );
    }
}

#[test]
fn every_key_is_overridden_by_its_variable() {
    for key in KEYS.iter().filter(|key| !TABLES.contains(&key.path)) {
        let variable = keys::variable(key);
        let told = match read_with("", &[(&variable, "\u{1}")]) {
            Ok(settings) => {
                assert_ne!(settings, Settings::default(), "{variable} changed nothing");
                continue;
            }
            Err(told) => told,
        };
        let at = format!("environment {variable}: {}", key.path);
        assert!(
            told.iter().any(|fault| fault.starts_with(&at)),
            "{variable} {told:#?}"
        );
    }
}

#[test]
fn acme_needs_a_listener_agreement_and_names_that_it_can_prove() {
    let with =
        |https: &str, acme: &str| read(&format!("[edge]\n{https}\n[edge.tls.acme]\n{acme}\n"));
    let https = "https = \"127.0.0.1:0\"";
    let good =
        "domains = [\"T.example.com\"]\ncontact = [\"ops@example.com\"]\nterms_agreed = true";
    let acme = with(https, good).unwrap().edge.tls.acme;
    assert_eq!(acme.domains, ["t.example.com"]);
    for (https, acme, told) in [
        ("", good, "needs edge.https"),
        (
            https,
            "domains = [\"t.example.com\"]",
            "needs edge.tls.acme.terms_agreed",
        ),
        (
            https,
            "domains = [\"*.example.com\"]",
            "proves no wildcards",
        ),
        (https, "domains = [\"localhost\"]", "is not a host name"),
        (https, "contact = [\"nobody\"]", "is not a mail address"),
        (
            https,
            "directory = \"http://127.0.0.1/dir\"",
            "is not an https URL",
        ),
        (
            https,
            "directory = \"https://a:b@example.com/\"",
            "is not an https URL",
        ),
    ] {
        let faults = with(https, acme).unwrap_err();
        assert!(
            faults.iter().any(|fault| fault.contains(told)),
            "{acme}: {faults:?}"
        );
    }
}

#[test]
fn variables_carry_plain_texts_lists_and_free_keys() {
    let settings = read_with(
        "[edge]\nack = \"journal\"\n[kafka]\nbrokers = \"a:1\"\n",
        &[
            ("TIDEGATE__EDGE__ACK", "kafka"),
            ("TIDEGATE__EDGE__TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ("TIDEGATE__KAFKA__TOPIC", "5"),
            ("TIDEGATE__KAFKA__PROPERTIES__SECURITY_PROTOCOL", "ssl"),
            ("TIDEGATE__DATA_DIR", "/data"),
        ],
    )
    .unwrap();
    assert_eq!(settings.edge.ack, Ack::Kafka);
    assert_eq!(settings.edge.trusted_proxies.len(), 2);
    assert_eq!(settings.data_dir, PathBuf::from("/data"));
    let kafka = settings.kafka.unwrap();
    assert_eq!(kafka.topic, "5");
    assert_eq!(
        kafka.properties,
        [("security.protocol".to_owned(), "ssl".to_owned())]
    );
}

#[test]
fn paths_start_from_the_folder_of_the_file_unless_a_variable_gives_them() {
    let document = Document::parse(
        "t",
        "data_dir = \"data\"\n[geoip]\ncity = \"/abs/c.mmdb\"\n",
    );
    let environment =
        Environment::from([("TIDEGATE__GEOIP__ASN".to_owned(), "asn.mmdb".to_owned())]);
    let settings = file::read(&document, &environment, Path::new("/etc/tidegate")).unwrap();
    assert_eq!(settings.data_dir, PathBuf::from("/etc/tidegate/data"));
    assert_eq!(settings.geoip.city, Some(PathBuf::from("/abs/c.mmdb")));
    assert_eq!(settings.geoip.asn, Some(PathBuf::from("asn.mmdb")));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn each_kind_of_mistake_says_what_to_write_instead() {
    let cases: &[(&str, &str)] = &[
        (
            "[edge]\nhttp = \"localhost:80\"",
            "2:8: edge.http: \"localhost:80\" is not an address and port; write one such as",
        ),
        (
            "[edge]\nack = \"kafak\"",
            "2:7: edge.ack: \"kafak\" is not one of \"journal\", \"kafka\"; did you mean \"kafka\"?",
        ),
        (
            "[edge]\ntrusted_proxies = [\"10.0.0.0/8\", \"10.1.2.3/8\"]",
            "2:34: edge.trusted_proxies[1]: \"10.1.2.3/8\" has bits beyond its prefix; write \"10.0.0.0/8\"",
        ),
        (
            "[edge]\ntrusted_proxies = [\"proxy\"]",
            "2:20: edge.trusted_proxies[0]: \"proxy\" is not an address or range",
        ),
        (
            "[edge]\npath_prefix = \"x/\"",
            "2:15: edge.path_prefix: \"x/\" is not empty or a path",
        ),
        (
            "[edge]\nhttps = \"127.0.0.1:8080\"",
            "2:9: edge.https: cannot be set together with the same edge.http",
        ),
        (
            "[edge]\nproxy_protocol = [\"https\"]",
            "2:18: edge.proxy_protocol: needs edge.https; add https = \"0.0.0.0:8443\"",
        ),
        (
            "[edge]\nproxy_protocol = [\"htps\"]",
            "2:19: edge.proxy_protocol[0]: \"htps\" is not one of \"http\", \"https\"",
        ),
        (
            "[edge]\nclient_ip_header = \"a b\"",
            "2:20: edge.client_ip_header: \"a b\" is not the name of a header",
        ),
        (
            "[edge.tls]\ncert = \"c.pem\"\nkey = \"k.pem\"",
            "2:8: edge.tls.cert: needs edge.https; add https = \"0.0.0.0:8443\"",
        ),
        (
            "[edge]\nhttps = \"0.0.0.0:8443\"\n[edge.tls]\ncert = \"c.pem\"",
            "4:8: edge.tls.cert: needs edge.tls.key; add key = \"key.pem\"",
        ),
        (
            "[edge]\nhttps = \"0.0.0.0:8443\"\n[[edge.tls.certificates]]\ncert = \"c.pem\"",
            "3:1: edge.tls.certificates[0].key: is missing; add key = \"key.pem\"",
        ),
        (
            "[edge.paths]\ntag = \"site.js\"",
            "2:7: edge.paths.tag: \"site.js\" is not a path that begins",
        ),
        (
            "[edge.paths]\ntag = \"/a/x\"\nevents = \"/a/x\"",
            "3:10: edge.paths.events: \"/a/x\" is the path of edge.paths.tag; write another",
        ),
        (
            "[edge.paths]\ntag = \"/v1/events\"",
            "2:7: edge.paths.tag: \"/v1/events\" is the path of /v1/events, which is always there; write another",
        ),
        (
            "[edge]\npath_prefix = \"/t\"\npaths.pixel = \"/t/healthz\"",
            "3:15: edge.paths.pixel: \"/t/healthz\" is the path of /healthz, which is always there; write another",
        ),
        (
            "[edge]\nbody_bytes_max = \"1GiB\"",
            "2:18: edge.body_bytes_max: 1GiB is out of range; write a value from 1KiB to 256MiB",
        ),
        (
            "[edge]\nevent_bytes_max = \"64KiB\"\nbody_bytes_max = \"32KiB\"",
            "2:19: edge.event_bytes_max: needs edge.body_bytes_max to be at least as large",
        ),
        (
            "[edge]\nack = \"kafka\"",
            "2:7: edge.ack: needs [kafka]; add [kafka] with brokers",
        ),
        (
            "[cookie]\ndomain = \"example.com\"",
            "2:10: cookie.domain: cannot be set together with a cookie.name that begins with __Host-",
        ),
        (
            "[cookie]\nname = \"a b\"",
            "2:8: cookie.name: \"a b\" is not a cookie name",
        ),
        (
            "[cookie]\nname = \"v\"\ndomain = \"-x\"",
            "3:10: cookie.domain: \"-x\" is not a domain",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:9180\"",
            "2:10: admin.listen: needs admin.token_file or admin.tls.client_ca where it is not loopback",
        ),
        (
            "[admin.tls]\ncert = \"c.pem\"",
            "2:8: admin.tls.cert: needs admin.tls.key; add key",
        ),
        (
            "[admin.tls]\nclient_ca = \"c.pem\"",
            "2:13: admin.tls.client_ca: needs admin.tls.cert; add cert",
        ),
        (
            "[admin]\nlisten = \"127.0.0.1:8080\"",
            "2:10: admin.listen: cannot be set together with the same edge.http",
        ),
        (
            "[kafka]\ntopic = \"x\"",
            "1:1: kafka.brokers: is missing; add brokers = \"kafka-1:9092,kafka-2:9092\"",
        ),
        (
            "[kafka]\nbrokers = \"a\"",
            "2:11: kafka.brokers: \"a\" is not a list of brokers with their ports",
        ),
        (
            "[kafka]\nbrokers = \"a:1\"\ntopic = \"a b\"",
            "3:9: kafka.topic: \"a b\" is not a topic name",
        ),
        (
            "[kafka]\nbrokers = \"a:1\"\ntransitions_topic = \"tidegate.events\"",
            "3:21: kafka.transitions_topic: cannot be set together with the same kafka.topic",
        ),
        (
            "[kafka]\nbrokers = \"a:1\"\n[kafka.properties]\nacks = 1",
            "4:8: kafka.properties.acks: is set by tidegate, whose promises rest on it; remove it",
        ),
        (
            "[journal]\ndisk_budget = \"100MiB\"",
            "2:15: journal.disk_budget: needs room for four segments",
        ),
        (
            "[activation]\noutbox_rows_max = 100\ndestination_rows_max = 101",
            "3:24: activation.destination_rows_max: needs activation.outbox_rows_max to be at least",
        ),
        (
            "data_dir = \"\"",
            "1:12: data_dir: \"\" is not a text with letters in it",
        ),
    ];
    for (text, expected) in cases {
        let told = faults(text);
        assert_eq!(told.len(), 1, "{text}: {told:#?}");
        assert!(
            told[0].starts_with(&format!("tidegate.toml:{expected}")),
            "{text}:\n  told {}\n  not  {expected}",
            told[0]
        );
    }
}

#[test]
fn an_override_that_clashes_is_blamed_at_the_variable() {
    let told = read_with("", &[("TIDEGATE__ADMIN__LISTEN", "0.0.0.0:1")]).unwrap_err();
    assert!(told[0].starts_with("environment TIDEGATE__ADMIN__LISTEN: admin.listen: needs"));
}

#[test]
fn a_range_contains_its_addresses_and_mapped_ones() {
    let range = |network: &str, prefix| Cidr {
        network: network.parse().unwrap(),
        prefix,
    };
    let cases = [
        (range("10.0.0.0", 8), "10.255.0.1", true),
        (range("10.0.0.0", 8), "::ffff:10.1.1.1", true),
        (range("10.0.0.0", 8), "11.0.0.1", false),
        (range("0.0.0.0", 0), "255.1.1.1", true),
        (range("fd00::", 8), "fd12::1", true),
        (range("fd00::", 8), "fe80::1", false),
        (range("::", 0), "10.0.0.1", false),
        (range("::1", 128), "::1", true),
    ];
    for (range, address, inside) in cases {
        assert_eq!(
            range.contains(address.parse().unwrap()),
            inside,
            "{range:?} {address}"
        );
    }
}

#[test]
fn a_changed_key_is_named_by_itself_and_taken_where_it_is_live() {
    let in_force = read("[kafka]\nbrokers = \"a:1\"\n").unwrap();
    let text = "timers.rate_max = 7\n[edge]\nbody_bytes_max = \"8MiB\"\nhttp = \"127.0.0.1:9\"\n\
                [kafka]\nbrokers = \"a:1\"\ntopic = \"t\"\n";
    let next = read(text).unwrap();
    let changes = change::between(&in_force, &next);
    assert_eq!(changes.live, ["edge.body_bytes_max", "timers.rate_max"]);
    assert_eq!(changes.restart, ["edge.http", "kafka.topic"]);
    let merged = change::merged(&in_force, &next);
    assert_eq!(change::between(&merged, &next).live, [""; 0]);
    assert_eq!(change::between(&in_force, &merged).restart, [""; 0]);
    assert_eq!(merged.edge.body_bytes_max, 8 << 20);
    let http = KEYS.iter().find(|key| key.path == "edge.http");
    assert_eq!(http.map(|key| key.when), Some(When::Restart));
}

#[test]
fn each_key_that_differs_from_its_default_is_found() {
    let defaults = Settings::default();
    for key in KEYS.iter().filter(|key| key.default.is_none()) {
        // Two keys that are set only in pairs, one that excludes another.
        let text = match key.path {
            "edge.tls.cert" | "edge.tls.key" => {
                "edge.https = \"127.0.0.1:1\"\nedge.tls.cert = \"c\"\nedge.tls.key = \"k\"\n"
                    .to_owned()
            }
            "edge.tls.certificates" => format!(
                "edge.https = \"127.0.0.1:1\"\n{} = {}\n",
                key.path, key.sample
            ),
            path if path.starts_with("edge.tls.acme.") => {
                "edge.https = \"127.0.0.1:1\"\n[edge.tls.acme]\ndomains = [\"a.example\"]\nterms_agreed = true\nroot = \"r\"\n".to_owned()
            }
            "cookie.domain" => "cookie.name = \"v\"\ncookie.domain = \"example.com\"\n".to_owned(),
            path if path.starts_with("kafka.") => {
                "[kafka]\nbrokers = \"a:1\"\nproperties = { \"compression.type\" = \"lz4\" }"
                    .to_owned()
            }
            path if path.starts_with("admin.tls.") => {
                "admin.token_file = \"t\"\n[admin.tls]\ncert = \"c\"\nkey = \"k\"\nclient_ca = \"a\"\n".to_owned()
            }
            path => format!("{path} = {}\n", key.sample),
        };
        let changes = change::between(&defaults, &read(&text).unwrap());
        let all: Vec<_> = changes.live.iter().chain(&changes.restart).collect();
        assert!(all.contains(&&key.path), "{}: {all:?}", key.path);
    }
}
