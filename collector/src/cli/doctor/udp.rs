//! What HTTP/3 asks of the system beside its port: a receive buffer that holds a burst while every
//! thread is at work, and packets that the kernel cuts (GSO), which saves a system call for each.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use quinn::udp::{UdpSockRef, UdpSocketState};
use rustix::net::sockopt::socket_recv_buffer_size;

use super::finding::Finding;
use crate::settings::Settings;

const CHECK: &str = "udp";
/// About 700 packets as the kernel counts them: what 10,000 hits a second bring in 70 ms.
const BUFFER_BYTES: usize = 1 << 20;

/// Looks at a socket as the gateway would make it; nothing where no HTTP/3 is served.
pub fn socket(settings: &Settings) -> Vec<Finding> {
    let Some(address) = settings.edge.https.filter(|_| settings.edge.http3) else {
        return Vec::new();
    };
    match look(address) {
        Ok((buffer_bytes, segments)) => {
            vec![judge_buffer(buffer_bytes), judge_segments(segments)]
        }
        Err(error) => vec![Finding::unknown(
            CHECK,
            format!("no socket at {}: {error}", address.ip()),
            "mend what is said of the port, then run this again",
        )],
    }
}

/// Bytes of the receive buffer, and the packets that one system call may send.
fn look(address: SocketAddr) -> io::Result<(usize, usize)> {
    let socket = UdpSocket::bind((address.ip(), 0))?;
    let buffer_bytes = socket_recv_buffer_size(&socket)?;
    let segments = UdpSocketState::new(UdpSockRef::from(&socket))?.max_gso_segments();
    Ok((buffer_bytes, segments))
}

/// Says whether a burst finds room.
pub fn judge_buffer(bytes: usize) -> Finding {
    let found = format!("a receive buffer of {} KiB", bytes >> 10);
    if bytes < BUFFER_BYTES {
        return Finding::warn(
            CHECK,
            format!("{found}: HTTP/3 packets of a burst are dropped and have to be sent again"),
            "sysctl -w net.core.rmem_default=2097152, and the same in /etc/sysctl.d",
        );
    }
    Finding::ok(CHECK, found)
}

/// Says what sending costs; 1 is a system call for each packet.
pub fn judge_segments(segments: usize) -> Finding {
    if segments > 1 {
        let found = format!("the kernel cuts packets (GSO), {segments} in one call");
        return Finding::ok(CHECK, found);
    }
    Finding::warn(
        CHECK,
        "the kernel does not cut packets (GSO): HTTP/3 answers cost a system call each",
        "use Linux 4.18 or newer, outside of a sandbox that hides it",
    )
}
