//! docs/openapi.yaml names every route and method of both listeners, and no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::{admin, edge};

const PAGE: &str = include_str!("../../../../docs/openapi.yaml");
const METHODS: [&str; 8] = [
    "get", "head", "post", "put", "patch", "delete", "options", "trace",
];

type Paths = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_api_reference_is_the_route_tables() {
    let mut routes = Paths::new();
    for (path, allow) in edge::documented().into_iter().chain(admin::ROUTES) {
        let methods = allow.split(", ").map(str::to_lowercase);
        routes.entry(path.to_owned()).or_default().extend(methods);
    }
    assert_eq!(documented(), routes);
}

#[test]
fn limited_paths_list_429_and_503() {
    for path in ["/v1/events", "/v1/pixel.gif", "/v1/segments", "/tag.js"] {
        let (_, section) = PAGE.split_once(&format!("\n  {path}:\n")).unwrap();
        let section = section.split("\n  /").next().unwrap();
        for status in ["'429':", "'503':"] {
            assert!(section.contains(status), "{path} {status}");
        }
    }
}

/// Read by its indentation, which is enough for two levels of keys.
fn documented() -> Paths {
    let mut paths = Paths::new();
    let mut path = None;
    let inside = PAGE.lines().skip_while(|line| *line != "paths:").skip(1);
    for line in inside.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        let Some((key, _rest)) = line.trim_start().split_once(':') else {
            continue;
        };
        match line.len() - line.trim_start().len() {
            2 => {
                let fresh = paths.insert(key.to_owned(), BTreeSet::new());
                assert!(fresh.is_none(), "{key} stands there twice");
                path = Some(key.to_owned());
            }
            4 if METHODS.contains(&key) => {
                let methods = path.as_ref().and_then(|path| paths.get_mut(path));
                methods.unwrap().insert(key.to_owned());
            }
            _ => {}
        }
    }
    paths
}
