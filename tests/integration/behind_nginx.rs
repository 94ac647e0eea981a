//! `deploy/cdn/nginx.conf` as it stands, with a real nginx and real TLS in front of the real
//! gateway: the tag is cached, hits are not, cookies pass, and nobody can make up an address.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rcgen::generate_simple_self_signed;
use serde_json::Value;
use tempfile::TempDir;
use tidegate_tests::process::{Process, installed, run};
use tidegate_tests::records::journal;
use tidegate_tests::{Config, Gateway, eventually, turn};

const HOST: &str = "t.example.com";
const PIXEL: &str = "/v1/pixel.gif?type=page&writeKey=shop-key";

/// The proxy, and curl as the visitor's browser.
struct Front {
    _nginx: Process,
    dir: TempDir,
    port: u16,
}

impl Front {
    fn start(nginx: &str, gateway: &Gateway) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let pair = generate_simple_self_signed([HOST.to_owned()]).unwrap();
        fs::write(at("cert.pem"), pair.cert.pem()).unwrap();
        fs::write(at("key.pem"), pair.signing_key.serialize_pem()).unwrap();
        let port = free_port();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cdn/nginx.conf");
        let mut example = fs::read_to_string(example).unwrap();
        for (from, to) in [
            ("listen 443 ", format!("listen 127.0.0.1:{port} ")),
            (
                "server 127.0.0.1:8080 ",
                format!("server {} ", gateway.addresses().http),
            ),
            ("/etc/nginx/tls/cert.pem", at("cert.pem")),
            ("/etc/nginx/tls/key.pem", at("key.pem")),
            ("/var/cache/nginx/tidegate", at("cache")),
        ] {
            assert!(example.contains(from), "{from} is not in the example");
            example = example.replace(from, &to);
        }
        let main = format!(
            "daemon off;\nmaster_process off;\npid {};\nerror_log stderr;\nevents {{}}\nhttp {{\n\
             client_body_temp_path {};\nproxy_temp_path {};\nfastcgi_temp_path {};\n\
             uwsgi_temp_path {};\nscgi_temp_path {};\n{example}}}\n",
            at("pid"),
            at("bodies"),
            at("proxied"),
            at("fastcgi"),
            at("uwsgi"),
            at("scgi"),
        );
        fs::write(at("nginx.conf"), main).unwrap();
        let mut command = Command::new(nginx);
        command.args(["-c", &at("nginx.conf"), "-e", "stderr"]);
        let mut process = Process::start(&mut command, &dir.path().join("nginx.log"));
        eventually("nginx", || {
            let ended = process.ended();
            assert!(ended.is_none(), "nginx ended:\n{}", process.output());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            _nginx: process,
            dir,
            port,
        }
    }

    /// The answer's headers in lower case, one a line.
    fn ask(&self, path: &str, options: &[&str]) -> String {
        let printed = run(Command::new("curl")
            .args([
                "-sk",
                "-o",
                "/dev/null",
                "-D",
                "-",
                "--interface",
                "127.9.8.7",
            ])
            .args(["--resolve", &format!("{HOST}:{}:127.0.0.1", self.port)])
            .args(options)
            .arg(format!("https://{HOST}:{}{path}", self.port))
            .current_dir(self.dir.path()));
        printed.unwrap().to_lowercase()
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn nginx() -> Option<&'static str> {
    let found = ["nginx", "/usr/sbin/nginx"];
    found.into_iter().find(|program| installed(program))
}

#[test]
fn the_tag_is_cached_hits_are_not_and_the_visitors_address_is_the_real_one() {
    let Some(nginx) = nginx() else {
        eprintln!("skipped: no nginx");
        return;
    };
    let _turn = turn();
    let gateway = Gateway::start(&Config::new().set("edge", "trusted_proxies", "[\"127.0.0.1\"]"));
    let front = Front::start(nginx, &gateway);

    let first = front.ask("/tag.js", &[]);
    let second = front.ask("/tag.js?any=query", &[]);
    assert!(
        first.contains("http/2 200") && first.contains("x-cache: miss"),
        "{first}"
    );
    assert!(
        second.contains("x-cache: hit") && second.contains("etag: "),
        "{second}"
    );
    assert!(second.contains("cache-control: public"), "{second}");

    let (_, etag) = first.split_once("etag: \"").unwrap();
    let versioned = format!("/tag.{}.js", etag.split('"').next().unwrap());
    let [miss, hit] = [front.ask(&versioned, &[]), front.ask(&versioned, &[])];
    assert!(miss.contains("x-cache: miss"), "{miss}");
    assert!(hit.contains("x-cache: hit"), "{hit}");
    assert!(hit.contains("immutable"), "{hit}");

    let minted = front.ask(PIXEL, &[]);
    assert!(minted.contains("cache-control: no-store"), "{minted}");
    assert!(!minted.contains("x-cache"), "{minted}");
    let cookie = minted.split("set-cookie: __host-").nth(1).unwrap();
    assert!(cookie.contains("; secure; samesite=lax"), "{cookie}");
    let pair = format!("__Host-{}", cookie.split(';').next().unwrap());

    // The same question again, and with an address that somebody would like to have.
    for spoof in ["192.0.2.1", "192.0.2.1, 127.0.0.1"] {
        let forged = format!("x-forwarded-for: {spoof}");
        let again = front.ask(
            PIXEL,
            &["-b", &pair, "-H", &forged, "-H", "forwarded: for=192.0.2.1"],
        );
        assert!(again.contains("http/2 200"), "{again}");
    }
    let pages = eventually("three hits in the journal", || {
        let pages: Vec<Value> = journal(&gateway)
            .into_iter()
            .filter(|record| record["type"] == "page")
            .collect();
        (pages.len() == 3).then_some(pages)
    });
    for page in &pages {
        assert_eq!(page["context"]["ip"], "127.9.8.0", "{page}");
    }
    let id = pair.split('=').nth(1).unwrap();
    for page in &pages[1..] {
        assert_eq!(page["profile_id"], pages[1]["profile_id"], "{page}");
        assert_eq!(
            page["anonymous_id"].as_str().unwrap().replace('-', ""),
            id,
            "{page}"
        );
    }
}
