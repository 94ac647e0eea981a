//! The PROXY protocol, versions 1 and 2: the client's address behind a proxy that forwards bytes. Reads
//! the header and not one byte more, so that what follows needs no buffer here.
//! Source: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::net::IpAddr;
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What both versions are told apart by; the shortest header is longer.
const SIGNATURE_BYTES: usize = 12;
const SIGNATURE_V2: [u8; SIGNATURE_BYTES] = *b"\r\n\r\n\0\r\nQUIT\n";
/// A line of version 1 with its CRLF, at most (section 2.1).
const LINE_BYTES_MAX: usize = 107;
/// Fixed part of version 2; its last two bytes are the length of the rest.
const FIXED_BYTES: usize = 16;
/// Addresses and further fields of version 2, at most. 536 is what the specification says always
/// arrives in one piece; some add TLS certificates.
const REST_BYTES_MAX: usize = 4_096;

/// Why a connection is closed before its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::edge) enum Refused {
    /// The peer is no trusted proxy.
    Untrusted,
    /// No header, or a damaged one.
    Malformed,
    /// It did not arrive in time.
    Timeout,
}

/// The client's address; None where the proxy speaks for itself (health checks).
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    patience: Duration,
) -> Result<Option<IpAddr>, Refused> {
    match tokio::time::timeout(patience, header(stream)).await {
        Ok(header) => parse(&header.ok_or(Refused::Malformed)?),
        Err(_elapsed) => Err(Refused::Timeout),
    }
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut header = vec![0; SIGNATURE_BYTES];
    stream.read_exact(&mut header).await.ok()?;
    if header == SIGNATURE_V2 {
        header.resize(FIXED_BYTES, 0);
        stream
            .read_exact(&mut header[SIGNATURE_BYTES..])
            .await
            .ok()?;
        let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
        if rest > REST_BYTES_MAX {
            return None;
        }
        header.resize(FIXED_BYTES + rest, 0);
        stream.read_exact(&mut header[FIXED_BYTES..]).await.ok()?;
    } else {
        if !header.starts_with(b"PROXY ") {
            return None;
        }
        // Byte by byte: the line's length is not known, and the bytes behind it are not ours.
        while !header.ends_with(b"\r\n") {
            if header.len() == LINE_BYTES_MAX {
                return None;
            }
            header.push(stream.read_u8().await.ok()?);
        }
    }
    Some(header)
}

fn parse(header: &[u8]) -> Result<Option<IpAddr>, Refused> {
    let named = match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(tcp) => Some(IpAddr::V4(tcp.source_address)),
            v1::Addresses::Tcp6(tcp) => Some(IpAddr::V6(tcp.source_address)),
        },
        HeaderResult::V2(Ok(header)) => match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => Some(IpAddr::V4(ip.source_address)),
            (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => Some(IpAddr::V6(ip.source_address)),
            (v2::Command::Local, _) | (_, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => {
                None
            }
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return Err(Refused::Malformed),
    };
    Ok(named.map(|address| address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn read_of(bytes: &[u8]) -> (Result<Option<IpAddr>, Refused>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(8_192);
        theirs.write_all(bytes).await.unwrap();
        let read = read(&mut ours, Duration::from_millis(20)).await;
        drop(theirs);
        let mut rest = Vec::new();
        ours.read_to_end(&mut rest).await.unwrap();
        (read, rest)
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE_V2[..], &[0x20 | command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_what_follows() {
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x10, 0, 0x01, 0xbb];
        let with_fields = [&v4[..], &[4, 0, 3, 1, 2, 3]].concat();
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 9;
        for (header, expected) in [
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\r\n".to_vec(),
                Some("192.0.2.7"),
            ),
            (
                b"PROXY TCP6 2001:db8::9 ::1 4096 443\r\n".to_vec(),
                Some("2001:db8::9"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN what ever\r\n".to_vec(), None),
            (v2(1, 0x11, &v4), Some("192.0.2.7")),
            (v2(1, 0x11, &with_fields), Some("192.0.2.7")),
            (v2(1, 0x21, &v6), Some("2001:db8::9")),
            (v2(0, 0x00, &[]), None),
        ] {
            let (read, rest) = read_of(&[&header[..], b"GET /"].concat()).await;
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(read, Ok(expected), "{}", header.escape_ascii());
            assert_eq!(rest, b"GET /");
        }
    }

    #[tokio::test]
    async fn anything_else_is_refused_within_its_bound_and_time() {
        let long = format!("PROXY TCP4 {}", "1".repeat(200));
        let huge = [&SIGNATURE_V2[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Refused::Malformed),
            (long.as_bytes(), Refused::Malformed),
            (&huge, Refused::Malformed),
            (b"PROXY TCP4 1.2.3.4 x 1 2\r\n", Refused::Malformed),
            (b"PROXY TCP4 1.2.3.4", Refused::Timeout),
            (b"", Refused::Timeout),
            (&SIGNATURE_V2, Refused::Timeout),
        ] {
            let (read, _) = read_of(bytes).await;
            assert_eq!(read, Err(expected), "{}", bytes.escape_ascii());
        }
    }
}
