//! One keep-alive HTTP/1.1 connection, with TLS or without, that costs as little as it can: writes ready-made bytes and
//! reads answers that carry a `Content-Length`. Understands nothing else.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest answer taken, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An open connection.
#[derive(Debug)]
pub struct Connection<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects, without Nagle's delay.
    ///
    /// # Errors
    /// Those of the system.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// On a stream that is open.
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(16 << 10),
        }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// Those of the system; `InvalidData` for any answer but a 200 with a `Content-Length`.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some(body) = body_of(&self.buffer)? {
                return Ok(&self.buffer[body..]);
            }
        }
    }
}

/// Where the body starts, once all of it is there.
fn body_of(answer: &[u8]) -> Result<Option<usize>> {
    let Some(head) = find(answer, b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = (&answer[..head], head + 4);
    if head.get(9..12) != Some(b"200") {
        let text = String::from_utf8_lossy(answer).into_owned();
        return Err(Error::new(ErrorKind::InvalidData, text));
    }
    let length = content_length(head).ok_or(ErrorKind::InvalidData)?;
    if length > ANSWER_BYTES_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    Ok((answer.len() >= body + length).then_some(body))
}

fn content_length(head: &[u8]) -> Option<usize> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        if !name.eq_ignore_ascii_case(b"content-length") {
            return None;
        }
        std::str::from_utf8(&value[1..]).ok()?.trim().parse().ok()
    })
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|part| part == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_when_its_length_is_there() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(body_of(&answer[..20]).unwrap(), None);
        assert_eq!(body_of(&answer[..answer.len() - 1]).unwrap(), None);
        assert_eq!(body_of(answer).unwrap(), Some(answer.len() - 2));
    }

    #[test]
    fn an_answer_that_is_no_success_is_an_error() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        assert!(body_of(answer).unwrap_err().to_string().contains("503"));
    }
}
