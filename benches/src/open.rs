//! An open loop: requests are due evenly spaced whatever the answers do, and each takes a free
//! connection or opens one. One thread on epoll, to offer several times what a server takes. An
//! answer's time counts from when its request was due (no coordinated omission); how late they were
//! sent says whether it was the load that was slow.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tidegate_collector::clock::{Clock, SystemClock};

use crate::load::percentile_ms;
use crate::workload::Request;

/// Connections opened at most; an arrival that finds none free is not sent, and counted.
pub const CONNECTIONS_MAX: usize = 8_000;
/// Arrivals sent in a row before answers are looked for.
const BURST: usize = 16;
/// How long answers may come after the last arrival.
const PATIENCE_US: u64 = 20_000_000;
/// Events taken from epoll at once.
const EVENTS_MAX: usize = 1_024;
/// Bytes read at once; an answer is shorter.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// What to send, where to, how often and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Who is loaded.
    pub address: SocketAddr,
    /// Requests a second.
    pub rate: f64,
    /// How long.
    pub seconds: f64,
    /// The first message id's number.
    pub serial: u64,
}

/// What became of the arrivals.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The time that requests were due in.
    pub seconds: f64,
    /// Requests due.
    pub due: u64,
    /// Answered 200 within those seconds.
    pub in_time: u64,
    /// Latencies of those answered 200, sorted, in microseconds.
    pub accepted_us: Vec<u64>,
    /// Latencies of those answered 503 with `Retry-After`, sorted.
    pub refused_us: Vec<u64>,
    /// How late they were sent, sorted.
    pub late_us: Vec<u64>,
    /// Not sent: no connection was free.
    pub unsent: u64,
    /// Answered otherwise, cut off or not answered.
    pub failed: u64,
    /// Connections opened.
    pub opened: usize,
}

impl Outcome {
    /// Requests answered 200 a second.
    #[must_use]
    pub fn goodput(&self) -> f64 {
        self.in_time as f64 / self.seconds
    }

    /// A share of those due, in per cent.
    #[must_use]
    pub fn percent(&self, part: u64) -> f64 {
        part as f64 * 100.0 / self.due.max(1) as f64
    }

    /// The sent requests' lateness, 99 % of them.
    #[must_use]
    pub fn late_ms(&self) -> f64 {
        percentile_ms(&self.late_us, 0.99)
    }
}

/// Offers `requests` in turn.
///
/// # Errors
/// Those of the system that concern no single connection.
pub fn run(offer: Offer, requests: &mut [Request]) -> Result<Outcome> {
    let clock = SystemClock::default();
    let mut load = Load {
        offer,
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        lanes: Vec::new(),
        free: Vec::new(),
        busy: 0,
        opened: 0,
        scratch: vec![0; ANSWER_BYTES_MAX],
        started_us: clock.monotonic_us(),
        clock,
        outcome: Outcome::default(),
    };
    load.arrivals(requests)?;
    Ok(load.finish())
}

/// One connection.
#[derive(Debug)]
struct Lane {
    stream: TcpStream,
    connected: bool,
    /// When its request was due; None: it is free.
    due_us: Option<u64>,
    /// What of a request or answer is there so far.
    unsent: Vec<u8>,
    answer: Vec<u8>,
}

#[derive(Debug)]
struct Load {
    offer: Offer,
    epoll: Epoll,
    lanes: Vec<Option<Lane>>,
    free: Vec<usize>,
    busy: usize,
    opened: usize,
    scratch: Vec<u8>,
    clock: SystemClock,
    started_us: u64,
    outcome: Outcome,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Accepted,
    Refused,
    Otherwise,
}

impl Load {
    /// Microseconds since the beginning.
    fn now_us(&self) -> u64 {
        self.clock.monotonic_us() - self.started_us
    }

    fn arrivals(&mut self, requests: &mut [Request]) -> Result<()> {
        let total = (self.offer.rate * self.offer.seconds) as u64;
        let kinds = requests.len() as u64;
        let mut serial = self.offer.serial;
        let mut events = vec![EpollEvent::empty(); EVENTS_MAX];
        let end_us = (self.offer.seconds * 1e6) as u64;
        let mut at = 0;
        while at < total || (self.busy > 0 && self.now_us() < end_us + PATIENCE_US) {
            for _ in 0..BURST {
                let due_us = (at as f64 * 1e6 / self.offer.rate) as u64;
                if at >= total || self.now_us() < due_us {
                    break;
                }
                let kind = usize::try_from(at % kinds).unwrap_or(0);
                self.arrive(due_us, requests[kind].stamped(&mut serial));
                at += 1;
            }
            let patience_ms: u8 = if at < total { 0 } else { 10 };
            let happened = self
                .epoll
                .wait(&mut events, EpollTimeout::from(patience_ms))?;
            for event in &events[..happened] {
                self.look(event);
            }
        }
        Ok(())
    }

    fn arrive(&mut self, due_us: u64, request: &[u8]) {
        self.outcome.due += 1;
        let lane = match self.free.pop() {
            Some(lane) => lane,
            None if self.lanes.len() < CONNECTIONS_MAX => match self.open() {
                Ok(lane) => lane,
                Err(_) => {
                    self.outcome.failed += 1;
                    return;
                }
            },
            None => {
                self.outcome.unsent += 1;
                return;
            }
        };
        self.outcome.late_us.push(self.now_us() - due_us);
        self.busy += 1;
        let Some(open) = &mut self.lanes[lane] else {
            return;
        };
        open.due_us = Some(due_us);
        open.answer.clear();
        open.unsent.clear();
        if !open.connected {
            open.unsent.extend_from_slice(request);
            return;
        }
        match open.stream.write(request) {
            Ok(sent) if sent == request.len() => {}
            Ok(sent) => open.unsent.extend_from_slice(&request[sent..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                open.unsent.extend_from_slice(request);
            }
            Err(_) => self.cut_off(lane),
        }
    }

    /// Begins to connect; the answer to that is an event.
    fn open(&mut self) -> Result<usize> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, &self.offer.address) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let lane = self.lanes.len();
        let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLET;
        self.epoll
            .add(&socket, EpollEvent::new(interest, lane as u64))?;
        self.opened += 1;
        self.lanes.push(Some(Lane {
            stream: socket.into(),
            connected: false,
            due_us: None,
            unsent: Vec::new(),
            answer: Vec::new(),
        }));
        Ok(lane)
    }

    fn look(&mut self, event: &EpollEvent) {
        let flags = event.events();
        let lane = usize::try_from(event.data()).unwrap_or(usize::MAX);
        let Some(Some(open)) = self.lanes.get_mut(lane) else {
            return;
        };
        if flags.contains(EpollFlags::EPOLLOUT) && open.flush().is_err() {
            self.cut_off(lane);
            return;
        }
        if flags != EpollFlags::EPOLLOUT {
            match open.receive(&mut self.scratch) {
                Ok(None) => {}
                Ok(Some(said)) => self.answered(lane, said),
                Err(_) => self.cut_off(lane),
            }
        }
    }

    fn answered(&mut self, lane: usize, said: Said) {
        let now_us = self.now_us();
        let Some(due_us) = self.lanes[lane]
            .as_mut()
            .and_then(|open| open.due_us.take())
        else {
            return;
        };
        self.busy -= 1;
        self.free.push(lane);
        let us = now_us - due_us;
        match said {
            Said::Accepted => {
                self.outcome.accepted_us.push(us);
                self.outcome.in_time += u64::from(now_us as f64 <= self.offer.seconds * 1e6);
            }
            Said::Refused => self.outcome.refused_us.push(us),
            Said::Otherwise => self.outcome.failed += 1,
        }
    }

    /// Its place stays empty: what is cut off counts against the connections that may be opened.
    fn cut_off(&mut self, lane: usize) {
        let Some(open) = self.lanes[lane].take() else {
            return;
        };
        if open.due_us.is_some() {
            self.busy -= 1;
            self.outcome.failed += 1;
        } else {
            self.free.retain(|free| *free != lane);
        }
    }

    fn finish(mut self) -> Outcome {
        let mut outcome = std::mem::take(&mut self.outcome);
        outcome.failed += self.busy as u64;
        outcome.seconds = self.offer.seconds;
        outcome.opened = self.opened;
        outcome.accepted_us.sort_unstable();
        outcome.refused_us.sort_unstable();
        outcome.late_us.sort_unstable();
        outcome
    }
}

impl Lane {
    fn flush(&mut self) -> Result<()> {
        if !self.connected {
            if let Some(error) = self.stream.take_error()? {
                return Err(error);
            }
            self.connected = true;
        }
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, scratch: &mut [u8]) -> Result<Option<Said>> {
        loop {
            let read = match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            if self.answer.is_empty()
                && let Some(said) = said(&scratch[..read])?
            {
                return Ok(Some(said));
            }
            self.answer.extend_from_slice(&scratch[..read]);
            if let Some(said) = said(&self.answer)? {
                return Ok(Some(said));
            }
        }
    }
}

/// What a whole answer says; None: it is not all there.
fn said(answer: &[u8]) -> Result<Option<Said>> {
    let Some(head) = answer.windows(4).position(|part| part == b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, body) = (&answer[..head], answer.len() - head - 4);
    let length =
        header(head, b"content-length").ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
    let length: usize = length.trim().parse().map_err(|_| ErrorKind::InvalidData)?;
    if body < length {
        return Ok(None);
    }
    Ok(Some(match head.get(9..12) {
        Some(b"200") => Said::Accepted,
        Some(b"503") if header(head, b"retry-after").is_some() => Said::Refused,
        _ => Said::Otherwise,
    }))
}

fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a str> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (found, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
        let value = std::str::from_utf8(&value[1..]).ok()?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_it_is_whole_and_a_503_only_with_retry_after() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(said(&whole[..whole.len() - 1]).unwrap(), None);
        assert_eq!(said(whole).unwrap(), Some(Said::Accepted));
        let refused = b"HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(said(refused).unwrap(), Some(Said::Refused));
        let bare = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(said(bare).unwrap(), Some(Said::Otherwise));
    }
}
