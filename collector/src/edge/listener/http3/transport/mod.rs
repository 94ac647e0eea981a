//! QUIC as h3 reads it. It stands between quinn and h3 because h3 0.0.8 gathers whatever length a
//! frame announces: [`frames`] parses every stream first, leaves out what has no meaning, and
//! closes the connection before more is held than [`allowance`] permits. It answers no request.

mod varint;
mod violation;
mod frames;
mod allowance;
mod errors;
mod guard;
mod receive;
mod send;
mod unidirectional;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h3::error::Code;
use h3::quic::{
    BidiStream, Connection, ConnectionErrorIncoming, OpenStreams, RecvStream, SendStream,
    StreamErrorIncoming, StreamId, WriteBuf,
};
use quinn::VarInt;

pub(super) use guard::Guard;
pub(super) use receive::Receiving;
pub(super) use send::Sending;
use unidirectional::Unidirectional;

type Opened<T> = Result<T, quinn::ConnectionError>;
/// Kept between two polls: it is what would be woken.
type Opening<T> = Option<Pin<Box<dyn Future<Output = Opened<T>> + Send + Sync>>>;

/// One connection.
pub(super) struct Transport {
    quic: quinn::Connection,
    guard: Arc<Guard>,
    accepting_request: Opening<(quinn::SendStream, quinn::RecvStream)>,
    accepting_other: Opening<quinn::RecvStream>,
    others: Unidirectional,
    opener: Opener,
}

impl Transport {
    pub(super) fn new(quic: quinn::Connection, guard: Arc<Guard>) -> Self {
        Self {
            opener: Opener {
                quic: quic.clone(),
                opening: None,
            },
            quic,
            guard,
            accepting_request: None,
            accepting_other: None,
            others: Unidirectional::default(),
        }
    }
}

impl Connection<Bytes> for Transport {
    type RecvStream = Receiving;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Receiving, ConnectionErrorIncoming>> {
        loop {
            let accepted = polled(&mut self.accepting_other, context, || {
                let quic = self.quic.clone();
                Box::pin(async move { quic.accept_uni().await })
            });
            match accepted {
                Poll::Ready(Ok(stream)) => self.others.add(stream),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(errors::of_connection(error))),
                Poll::Pending => break,
            }
        }
        match self.others.poll(&self.guard, context).transpose() {
            Some(control) => Poll::Ready(control),
            None => Poll::Pending,
        }
    }

    fn poll_accept_bidi(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Bidirectional, ConnectionErrorIncoming>> {
        let accepted = ready!(polled(&mut self.accepting_request, context, || {
            let quic = self.quic.clone();
            Box::pin(async move { quic.accept_bi().await })
        }));
        let (send, receive) = accepted.map_err(errors::of_connection)?;
        self.guard.allowance.request();
        Poll::Ready(Ok(Bidirectional {
            send: Sending::new(send),
            receive: Receiving::request(receive, Arc::clone(&self.guard)),
        }))
    }

    fn opener(&self) -> Opener {
        Opener {
            quic: self.quic.clone(),
            opening: None,
        }
    }
}

impl OpenStreams<Bytes> for Transport {
    type BidiStream = Bidirectional;
    type SendStream = Sending;

    fn poll_open_bidi(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Bidirectional, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(context)
    }

    fn poll_open_send(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Sending, StreamErrorIncoming>> {
        self.opener.poll_open_send(context)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.opener.close(code, reason);
    }
}

/// Opens the server's own unidirectional streams.
pub(super) struct Opener {
    quic: quinn::Connection,
    opening: Opening<quinn::SendStream>,
}

/// A server opens none (RFC 9114, section 6.1).
#[derive(Debug, thiserror::Error)]
#[error("a server opens no bidirectional stream")]
struct NotOfServers;

impl OpenStreams<Bytes> for Opener {
    type BidiStream = Bidirectional;
    type SendStream = Sending;

    fn poll_open_bidi(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<Result<Bidirectional, StreamErrorIncoming>> {
        Poll::Ready(Err(StreamErrorIncoming::Unknown(Box::new(NotOfServers))))
    }

    fn poll_open_send(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Sending, StreamErrorIncoming>> {
        let opened = ready!(polled(&mut self.opening, context, || {
            let quic = self.quic.clone();
            Box::pin(async move { quic.open_uni().await })
        }));
        let opened = opened.map_err(|error| errors::lost(errors::of_connection(error)));
        Poll::Ready(opened.map(Sending::new))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        let code = VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX);
        self.quic.close(code, reason);
    }
}

fn polled<T>(
    opening: &mut Opening<T>,
    context: &mut Context<'_>,
    begin: impl FnOnce() -> Pin<Box<dyn Future<Output = Opened<T>> + Send + Sync>>,
) -> Poll<Opened<T>> {
    let opened = ready!(opening.get_or_insert_with(begin).as_mut().poll(context));
    *opening = None;
    Poll::Ready(opened)
}

fn id(stream: quinn::StreamId) -> StreamId {
    let id = VarInt::from(stream).into_inner();
    StreamId::try_from(id).expect("both hold 62 bits")
}

/// A request's stream.
pub(super) struct Bidirectional {
    send: Sending,
    receive: Receiving,
}

impl BidiStream<Bytes> for Bidirectional {
    type SendStream = Sending;
    type RecvStream = Receiving;

    fn split(self) -> (Sending, Receiving) {
        (self.send, self.receive)
    }
}

impl RecvStream for Bidirectional {
    type Buf = Bytes;

    fn poll_data(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receive.poll_data(context)
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.receive.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl SendStream<Bytes> for Bidirectional {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(context)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(context)
    }

    fn reset(&mut self, reset_code: u64) {
        self.send.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}
