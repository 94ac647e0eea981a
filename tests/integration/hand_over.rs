//! Restart by hand-over: under load no request fails that a client could not put down to an idle
//! connection being closed, no event is lost or stored twice, and the pause is short.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::Signal;
use serde_json::json;
use tidegate_tests::load::Load;
use tidegate_tests::patience::{eventually, long};
use tidegate_tests::process::{Process, binary};
use tidegate_tests::records::{assert_contiguous, assert_holds, journal, message_ids};
use tidegate_tests::{Config, Gateway, turn};

/// Seconds that new connections may wait.
const PAUSE_MAX: f64 = 2.0;

#[test]
fn restarts_by_hand_over_under_load_fail_no_request_and_lose_no_event() {
    let _turn = turn();
    let rounds = if long() { 50 } else { 5 };
    let segment = "count(event.type == \"track\", \"1h\") >= 1";
    let config = Config::new().secure().segment("viewers", segment);
    let mut gateway = Gateway::start(&config);
    let load = Load::mixed(&gateway, 4);
    let mut longest = 0.0_f64;
    for round in 0..rounds {
        load.wait_for(200);
        load.wait_for_connections(1 + round);
        let old = gateway.hand_over();
        assert!(old.success(), "round {round}: {old}:\n{}", gateway.log());
        let pause = gateway
            .metric("tidegate_handover_pause_seconds", "")
            .unwrap();
        assert!(
            pause > 0.0 && pause <= PAUSE_MAX,
            "round {round}: {pause} s"
        );
        longest = longest.max(pause);
    }
    load.wait_for(200);
    load.wait_for_connections(1 + rounds);
    let report = load.stop();
    let only_200 = report.by_status.keys().all(|status| *status == 200);
    assert!(
        only_200 && report.failed.is_empty(),
        "{:?}, failed: {:?}",
        report.by_status,
        report.failed
    );
    assert!(gateway.terminate().success());
    let records = journal(&gateway);
    assert_holds("the journal", &message_ids(&records), &report.acked, true);
    assert_contiguous(&records);
    println!(
        "{rounds} hand-overs under load: {} requests, none failed, {} idle connections closed, \
         {} requests turned away, longest pause {longest:.3} s, slowest request {:?}, opened {:?}",
        report.acked.len(),
        report.broken,
        report.turned_away,
        report.slowest,
        report.opened
    );
}

#[test]
fn a_new_process_that_cannot_start_leaves_the_old_one_as_it_was() {
    let _turn = turn();
    let mut gateway = Gateway::start(&Config::new());
    let bad = gateway.dir().join("bad.toml");
    let data_dir = gateway.data_dir().display().to_string();
    let page = json!({"type": "page", "anonymousId": "a-1"});
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let edge = "[edge]\nhttp = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    for (mistake, told) in [
        (format!("{edge}[geoip]\ncity = \"bad.toml\"\n"), "bad.toml"),
        (format!("catalog = \"bad.toml\"\n{edge}"), "bad.toml"),
        (format!("[edge]\nhttp = \"{taken}\"\n"), "edge.http"),
        (
            "[edge]\nhttp = \"127.0.0.1:0\"\nhttps = \"127.0.0.1:0\"\n\
             tls.cert = \"bad.toml\"\ntls.key = \"bad.toml\"\n"
                .to_owned(),
            "no usable certificate",
        ),
        (
            format!(
                "{edge}[kafka]\nbrokers = \"127.0.0.1:1\"\nproperties = {{ \"no.such\" = \"1\" }}\n"
            ),
            "no.such",
        ),
    ] {
        std::fs::write(&bad, format!("data_dir = \"{data_dir}\"\n{mistake}")).unwrap();
        let mut serve = Command::new(binary());
        serve
            .arg("serve")
            .arg("--take-over")
            .arg("--config")
            .arg(&bad);
        let mut new = Process::start(&mut serve, &gateway.dir().join("new.log"));
        assert!(!new.wait().success(), "{mistake}");
        assert!(new.output().contains(told), "{mistake}: {}", new.output());
        assert_eq!(gateway.post(&page).outcomes(), ["accepted"], "{mistake}");
    }
    assert!(gateway.hand_over().success(), "{}", gateway.log());
    assert_eq!(gateway.post(&page).outcomes(), ["accepted"]);
}

#[test]
fn only_the_gateways_own_user_may_take_its_sockets() {
    let _turn = turn();
    let gateway = Gateway::start(&Config::new());
    let socket = gateway.data_dir().join("hand-over.sock");
    let mode = std::fs::metadata(socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// systemd's own tool listens for the gateway and passes the socket.
#[test]
fn a_socket_that_the_service_manager_holds_is_served() {
    let _turn = turn();
    if !Path::new("/usr/bin/systemd-socket-activate").exists() {
        println!("skipped: systemd-socket-activate is not installed");
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    // The tool starts what it activates with the first connection.
    let knock = move || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    let knocking =
        std::thread::spawn(move || eventually("a first client", || knock().then_some(())));
    let mut activated = |serve: Command, _: &Path| {
        let mut activate = Command::new("/usr/bin/systemd-socket-activate");
        let listen = format!("127.0.0.1:{port}");
        activate.args(["--listen", &listen, "--fdname=http"]);
        activate.arg(serve.get_program()).args(serve.get_args());
        activate
    };
    let mut gateway = Gateway::start_by(&Config::new(), &mut activated);
    knocking.join().unwrap();
    assert_eq!(gateway.addresses().http.port(), port);
    let page = json!({"type": "page", "anonymousId": "a-1"});
    assert_eq!(gateway.post(&page).outcomes(), ["accepted"]);
    gateway.process().signal(Signal::TERM);
    assert!(gateway.process().wait().success());
}

/// As systemd passes them (sd_listen_fds(3)): from descriptor 3 on, each under its name.
#[test]
fn every_socket_that_the_service_manager_holds_is_served_over_tcp_and_udp() {
    let _turn = turn();
    let tcp = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (http, https, admin) = (tcp(), tcp(), tcp());
    let addresses = [&http, &https, &admin].map(|tcp| tcp.local_addr().unwrap());
    let quic = UdpSocket::bind(addresses[1]).unwrap();
    let passed = [http.into(), https.into(), quic.into(), admin.into()].map(inheritable);
    let mut activated = |serve: Command, _: &Path| {
        let [http, https, quic, admin] = passed.each_ref().map(AsRawFd::as_raw_fd);
        let script = format!(
            "exec 3<&{http} 4<&{https} 5<&{quic} 6<&{admin}
             LISTEN_PID=$$ LISTEN_FDS=4 LISTEN_FDNAMES=http:https:quic:admin exec \"$@\""
        );
        let mut shell = Command::new("bash");
        shell.args(["-c", &script, "bash"]);
        shell.arg(serve.get_program()).args(serve.get_args());
        shell
    };
    let mut gateway = Gateway::start_by(&Config::new().secure(), &mut activated);
    let served = gateway.addresses();
    assert_eq!(
        [Some(served.http), served.https, Some(served.admin)],
        addresses.map(Some)
    );
    let load = Load::mixed(&gateway, 1);
    load.wait_for_connections(1);
    load.wait_for(50);
    let report = load.stop();
    let only_200 = report.by_status.keys().all(|status| *status == 200);
    assert!(only_200 && report.broken == 0, "{report:?}");
    assert!(gateway.terminate().success());
}

/// The same socket under a high number, and open in programs that are started.
fn inheritable(socket: OwnedFd) -> OwnedFd {
    let socket = fcntl_dupfd_cloexec(socket, 100).unwrap();
    fcntl_setfd(&socket, FdFlags::empty()).unwrap();
    socket
}
