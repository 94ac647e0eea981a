//! How long bytes had waited when they were read: the kernel notes when a packet arrives
//! (`SO_TIMESTAMPNS`, socket(7)) and says so with every read. That is the whole wait of a request for
//! its turn, in the socket, in epoll's list and in the runtime's queues, whatever their order.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, ready};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use tidegate_event::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Bytes of one read, at most.
const READ_BYTES_MAX: usize = 16 << 10;
/// Room for one timestamp with its header, and some.
const CONTROL_BYTES: usize = 64;

thread_local! {
    /// Where reads go first: the reader's own buffer would have to be zeroed for each.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// Of a wait that is not known.
const UNKNOWN: i64 = i64::MIN;

/// When what was read last on one connection had arrived, and since when we could have read it.
#[derive(Debug)]
pub(super) struct Wait {
    arrived_ms: AtomicI64,
    since_ms: AtomicI64,
}

impl Wait {
    fn new(since: Timestamp) -> Self {
        Self {
            arrived_ms: AtomicI64::new(UNKNOWN),
            since_ms: AtomicI64::new(since.0),
        }
    }

    /// How long it waited for its turn by `now`, in milliseconds; None where the kernel did not say.
    pub(super) fn ms(&self, now: Timestamp) -> Option<u32> {
        let arrived_ms = self.arrived_ms.load(Ordering::Relaxed);
        if arrived_ms == UNKNOWN {
            return None;
        }
        let since_ms = self.since_ms.load(Ordering::Relaxed);
        let waited_ms = now.0.saturating_sub(arrived_ms.max(since_ms));
        Some(u32::try_from(waited_ms.max(0)).unwrap_or(u32::MAX))
    }

    /// An answer is made: what came before it on HTTP/1.1 waited for it, and not for its turn.
    pub(super) fn answered(&self, now: Timestamp) {
        self.since_ms.store(now.0, Ordering::Relaxed);
    }
}

/// Has the kernel note arrivals on the connections of a listener, which inherit it. Where it cannot,
/// waits are not known, and admission looks at the timer's lateness and the disk alone.
pub(super) fn note_arrivals(listener: &impl AsFd) {
    if let Err(error) = setsockopt(listener, sockopt::ReceiveTimestampns, &true) {
        tracing::warn!(%error, "the kernel does not note when packets arrive: overload is seen late");
    }
}

/// A connection that knows how long its bytes had waited.
#[derive(Debug)]
pub(super) struct Timed {
    stream: TcpStream,
    wait: Arc<Wait>,
}

impl Timed {
    /// What arrived before `since` waited for the process before, not for this one.
    pub(super) fn new(stream: TcpStream, since: Timestamp) -> Self {
        Self {
            stream,
            wait: Arc::new(Wait::new(since)),
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
            let arrived_ms = read.arrived_ms.unwrap_or(UNKNOWN);
            self.wait.arrived_ms.store(arrived_ms, Ordering::Relaxed);
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
