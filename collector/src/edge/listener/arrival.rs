//! How long bytes had waited when they were read: the kernel notes when a packet arrives
//! (`SO_TIMESTAMPNS`, socket(7)) and says so with every read. That is the whole wait of a request for
//! its turn, in the socket, in epoll's list and in the runtime's queues, whatever their order.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use tidegate_event::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::clock::Clock;

/// Bytes of one read, at most.
const READ_BYTES_MAX: usize = 16 << 10;
/// Room for one timestamp with its header, and some.
const CONTROL_BYTES: usize = 64;

thread_local! {
    /// Where reads go first: the reader's own buffer would have to be zeroed for each.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// The wait of what was read last on one connection.
#[derive(Debug, Default)]
pub(super) struct Wait(AtomicU32);

impl Wait {
    /// Milliseconds.
    pub(super) fn ms(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Has the kernel note arrivals on the connections of a listener, which inherit it.
///
/// # Errors
/// Those of the system.
pub(super) fn note_arrivals(listener: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(listener, sockopt::ReceiveTimestampns, &true)?)
}

/// A connection that knows how long its bytes had waited.
#[derive(Debug)]
pub(super) struct Timed {
    stream: TcpStream,
    wait: Arc<Wait>,
    /// What arrived before it waited for the process before, not for this one.
    since: Timestamp,
    clock: Arc<dyn Clock>,
}

impl Timed {
    pub(super) fn new(stream: TcpStream, since: Timestamp, clock: Arc<dyn Clock>) -> Self {
        Self {
            stream,
            wait: Arc::default(),
            since,
            clock,
        }
    }

    /// Where the wait is noted.
    pub(super) fn wait(&self) -> Arc<Wait> {
        Arc::clone(&self.wait)
    }

    fn read(&self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        SCRATCH.with_borrow_mut(|scratch| {
            let room_bytes = buffer.remaining().min(READ_BYTES_MAX);
            let room = &mut scratch[..room_bytes];
            let mut read = None;
            let tried = self.stream.try_io(Interest::READABLE, || {
                let received = receive(self.stream.as_raw_fd(), room)?;
                read = Some(received);
                // There is no more: said now, it spares the read that would find nothing.
                if received.bytes > 0 && received.bytes < room_bytes {
                    return Err(ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            let Some(read) = read else { return tried };
            buffer.put_slice(&scratch[..read.bytes]);
            if let Some(arrived_ms) = read.arrived_ms {
                let waited_ms = self
                    .clock
                    .now()
                    .since(Timestamp(arrived_ms).max(self.since));
                let waited_ms = waited_ms.max(0);
                let waited_ms = u32::try_from(waited_ms).unwrap_or(u32::MAX);
                self.wait.0.store(waited_ms, Ordering::Relaxed);
            }
            Ok(())
        })
    }
}

/// What one read brought.
#[derive(Clone, Copy, Debug)]
struct Received {
    bytes: usize,
    /// When the last of them arrived, by the wall clock.
    arrived_ms: Option<i64>,
}

/// As the kernel aligns control messages.
#[repr(align(8))]
struct Control([u8; CONTROL_BYTES]);

fn receive(socket: RawFd, room: &mut [u8]) -> io::Result<Received> {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut pieces = [IoSliceMut::new(room)];
    let flags = MsgFlags::empty();
    let message = recvmsg::<()>(socket, &mut pieces, Some(&mut control.0), flags)?;
    let arrived_ms = message.cmsgs()?.find_map(|note| match note {
        ControlMessageOwned::ScmTimestampns(at) => {
            Some(at.tv_sec() * 1_000 + at.tv_nsec() / 1_000_000)
        }
        _ => None,
    });
    Ok(Received {
        bytes: message.bytes,
        arrived_ms,
    })
}

impl AsyncRead for Timed {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read),
            }
        }
    }
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
