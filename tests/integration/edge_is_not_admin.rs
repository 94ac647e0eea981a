//! Nothing of the admin listener is reachable through the edge's port, however it is asked for.

use std::fs;

use hyper::{Method, StatusCode};
use tidegate_tests::http::request;
use tidegate_tests::{Config, Gateway, turn};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn the_edge_port_answers_nothing_of_the_admin_api() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("admin.token");
    fs::write(&file, TOKEN).unwrap();
    let config = Config::new()
        .set("admin", "token_file", &format!("\"{}\"", file.display()))
        .set("edge", "path_prefix", "\"/collect\"");
    let gateway = Gateway::start(&config);
    let addresses = gateway.addresses();
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let ask = |address, method: &Method, path: &str| {
        request(address, method.clone(), path, &headers, "").unwrap()
    };
    let own = ask(addresses.admin, &Method::GET, "/admin/v1/stats");
    assert_eq!(own.status, StatusCode::OK, "{}", own.text());
    let own_host = format!("http://{}/metrics", addresses.http);
    // Another host than its Host says: refused, whatever the path.
    let other_host = format!("http://{}/metrics", addresses.admin);
    for path in [
        "/metrics",
        "/admin/v1/stats",
        "/admin/v1/catalog",
        "/admin/v1/bad-rows",
        "/collect/metrics",
        "/collect/admin/v1/stats",
        "/collect/../admin/v1/stats",
        "//admin/v1/stats",
        &own_host,
        &other_host,
    ] {
        let expected = if path == other_host {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::NOT_FOUND
        };
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = ask(addresses.http, &method, path);
            assert_eq!(answer.status, expected, "{method} {path}");
            assert!(!answer.text().contains("tidegate_"), "{method} {path}");
        }
    }
}
