//! The yardstick: nginx with one worker, `empty_gif`, and an access log buffered by 64 KiB.

use std::fs;
use std::io::Result;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use crate::process::{Server, free_address};

/// Where it answers with the GIF.
pub const GIF: &str = "/empty.gif";

/// Starts it with everything it writes under `dir`.
///
/// # Errors
/// Those of the system; where it does not answer.
pub fn start(dir: &Path) -> Result<(Server, SocketAddr)> {
    fs::create_dir_all(dir)?;
    let address = free_address()?;
    let config = dir.join("nginx.conf");
    fs::write(&config, text(dir, address))?;
    let log = dir.join("nginx.log");
    let arguments = [
        "-p",
        &dir.to_string_lossy(),
        "-c",
        &config.to_string_lossy(),
    ];
    let mut server = Server::start(Path::new(program()), &arguments, &log)?;
    server.wait_until(|| TcpStream::connect(address).is_ok())?;
    Ok((server, address))
}

/// Debian keeps it where only root's PATH leads.
fn program() -> &'static str {
    const SBIN: &str = "/usr/sbin/nginx";
    if Path::new(SBIN).exists() {
        SBIN
    } else {
        "nginx"
    }
}

fn text(dir: &Path, address: SocketAddr) -> String {
    let dir = dir.display();
    format!(
        r#"daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 16384; }}
http {{
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    log_format main '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" "$http_x_forwarded_for"';
    access_log {dir}/access.log main buffer=64k;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    server {{
        listen {address};
        location = {GIF} {{ empty_gif; }}
    }}
}}
"#
    )
}
