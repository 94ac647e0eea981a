//! Request bodies: gathered within a limit and a time, then inflated within the same limit.
//! What the bytes mean is decided elsewhere.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::Body;
use prometheus_client::metrics::gauge::Gauge;

use super::inflate::{Encoding, inflate};
use super::limits::{HeldMax, Holder, LARGE_MIN, Place};

/// Why a body was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Larger than `edge.body_bytes_max`, as sent or inflated.
    #[error("the body is larger than {bytes_max} bytes, as sent or inflated")]
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// Not complete within `edge.body_timeout_ms`.
    #[error("the body did not arrive in time")]
    Timeout,
    /// The client stopped in the middle.
    #[error("the body ended early")]
    Incomplete,
    /// A `Content-Encoding` that is unknown, or more than one.
    #[error("the content encoding is not one of gzip, deflate, br, zstd")]
    Encoding,
    /// Not what its encoding says.
    #[error("the compressed body is damaged")]
    Damaged,
    /// All bodies in memory and the events read from them would be larger than
    /// `edge.buffered_bytes_max`.
    #[error("other requests fill the memory set aside for them")]
    NoRoom,
    /// What the requests of its address hold would be more than
    /// `edge.buffered_bytes_per_address_max`.
    #[error("other requests of this address fill the memory that one address may hold")]
    AddressNoRoom,
    /// As many bodies of its address are awaited as `edge.bodies_per_address_max` allows.
    #[error("too many requests of this address wait for their bodies")]
    AddressAwaited,
    /// As many bodies are awaited as may be: half of `edge.in_flight_max`.
    #[error("too many requests wait for their bodies")]
    Awaited,
}

impl BodyError {
    /// The words of the metric, in the order of the variants.
    pub(super) const REASONS: [&'static str; 9] = [
        "too_large",
        "timeout",
        "incomplete",
        "encoding",
        "damaged",
        "no_room",
        "address_no_room",
        "address_awaited",
        "awaited",
    ];

    pub(super) const fn reason_index(self) -> usize {
        match self {
            Self::TooLarge { .. } => 0,
            Self::Timeout => 1,
            Self::Incomplete => 2,
            Self::Encoding => 3,
            Self::Damaged => 4,
            Self::NoRoom => 5,
            Self::AddressNoRoom => 6,
            Self::AddressAwaited => 7,
            Self::Awaited => 8,
        }
    }
}

/// What a body may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// Bytes, as sent and inflated each.
    pub(super) bytes_max: usize,
    /// Milliseconds until it must be complete.
    pub(super) timeout_ms: u64,
}

/// One request's part of the memory that all bodies, and the events read from them, may take.
#[derive(Debug)]
pub(super) struct Buffered<'m> {
    all: &'m Gauge,
    max: HeldMax,
    /// Bytes.
    held: usize,
    /// Whose it is, where the address is limited.
    holder: Option<Holder<'m>>,
    /// What of it is charged to the address.
    charged: Option<(Place, usize)>,
}

impl<'m> Buffered<'m> {
    /// None yet; `all` is what everybody holds.
    pub(super) const fn new(all: &'m Gauge, max: HeldMax, holder: Option<Holder<'m>>) -> Self {
        Self {
            all,
            max,
            held: 0,
            holder,
            charged: None,
        }
    }

    /// Holds so many bytes more until this is dropped.
    ///
    /// # Errors
    /// [`BodyError::NoRoom`], [`BodyError::AddressNoRoom`]
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.hold_within(bytes, self.max)
    }

    /// As [`Self::hold`], for a body that has still to come: such bodies find half of the memory, and of
    /// their address's part, so that those that come in one go always find room.
    fn hold_for_later(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.hold_within(bytes, self.max.half())
    }

    fn hold_within(&mut self, bytes: usize, max: HeldMax) -> Result<(), BodyError> {
        let before = self.all.inc_by(signed(bytes));
        self.held = self.held.saturating_add(bytes);
        if !self.charge(max.of_address) {
            return Err(BodyError::AddressNoRoom);
        }
        if before.saturating_add(signed(bytes)) > signed(max.all) {
            return Err(BodyError::NoRoom);
        }
        Ok(())
    }

    /// Charges the address with all that is held, unless that is little. False: it has no room for it.
    fn charge(&mut self, max: usize) -> bool {
        let Some(holder) = self.holder.filter(|_| self.held >= LARGE_MIN) else {
            return true;
        };
        let (place, charged) = self.charged.get_or_insert_with(|| (holder.place(), 0));
        let more = self.held.saturating_sub(*charged);
        let fits = place.take_beside_others(more, max);
        if fits {
            *charged = self.held;
        }
        fits
    }
}

impl Drop for Buffered<'_> {
    fn drop(&mut self) {
        self.all.dec_by(signed(self.held));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A body as sent. One that came in one piece is handed on without a copy. Where it has not arrived
/// with its head, `wait` says whether there is room to wait for it, by what is held until it is there.
pub(super) async fn gather<B, W>(
    body: &mut B,
    limits: BodyLimits,
    buffered: &mut Buffered<'_>,
    wait: impl FnOnce() -> Result<W, BodyError>,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let bytes_max = limits.bytes_max;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge { bytes_max });
    }
    let mut gathered = Gathered {
        first: Bytes::new(),
        all: BytesMut::new(),
        buffered,
        awaited: false,
    };
    let at_once = std::future::poll_fn(|cx| Poll::Ready(gathered.poll(body, cx, bytes_max))).await;
    // Most bodies arrive together with their headers: only the others cost a timer and a place.
    if let Poll::Ready(done) = at_once {
        return done.map(|()| gathered.finish());
    }
    let _waiting = wait()?;
    gathered.awaited = true;
    gathered.buffered.hold_for_later(0)?;
    let rest = std::future::poll_fn(|cx| gathered.poll(body, cx, bytes_max));
    match tokio::time::timeout(Duration::from_millis(limits.timeout_ms), rest).await {
        Ok(done) => done.map(|()| gathered.finish()),
        Err(_elapsed) => Err(BodyError::Timeout),
    }
}

/// Undoes the content encoding, whether a header names it or only gzip's magic number does
/// (posthog-js sends gzip as `text/plain`).
pub(super) fn decode(
    sent: Bytes,
    headers: &HeaderMap,
    bytes_max: usize,
) -> Result<Bytes, BodyError> {
    match Encoding::of(headers.get_all(CONTENT_ENCODING), &sent)? {
        Some(encoding) => inflate(&sent, encoding, bytes_max).map(Bytes::from),
        None => Ok(sent),
    }
}

/// Throws away what of a body has arrived; true where that was all.
pub(super) async fn is_discarded<B>(body: &mut B) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    std::future::poll_fn(|cx| {
        while !body.is_end_stream() {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(true),
                Poll::Pending => return Poll::Ready(false),
            }
        }
        Poll::Ready(true)
    })
    .await
}

/// Reads on after an answer was decided, so that a client that is still sending gets to see it:
/// closing with unread bytes resets the connection, and the answer is lost with it.
pub(super) async fn discard<B>(mut body: B, limits: BodyLimits)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = limits.bytes_max;
    let drain = std::future::poll_fn(|cx| {
        loop {
            match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    match left.checked_sub(length) {
                        Some(rest) => left = rest,
                        None => return Poll::Ready(()),
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    // Whether it ended or the time did, there is nothing left to do.
    let _ = tokio::time::timeout(Duration::from_millis(limits.timeout_ms), drain).await;
}

struct Gathered<'b, 'm> {
    first: Bytes,
    all: BytesMut,
    buffered: &'b mut Buffered<'m>,
    /// Whether it did not come in one go.
    awaited: bool,
}

impl Gathered<'_, '_> {
    fn poll<B>(
        &mut self,
        body: &mut B,
        cx: &mut Context<'_>,
        bytes_max: usize,
    ) -> Poll<Result<(), BodyError>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers carry nothing we use.
                    if let Ok(data) = frame.into_data() {
                        self.push(data, body.size_hint().lower(), bytes_max)?;
                    }
                    if body.is_end_stream() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyError::Incomplete)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn push(
        &mut self,
        data: Bytes,
        still_announced: u64,
        bytes_max: usize,
    ) -> Result<(), BodyError> {
        if self.first.len() + self.all.len() + data.len() > bytes_max {
            return Err(BodyError::TooLarge { bytes_max });
        }
        if self.awaited {
            self.buffered.hold_for_later(data.len())?;
        } else {
            self.buffered.hold(data.len())?;
        }
        if self.first.is_empty() && self.all.is_empty() {
            self.first = data;
            return Ok(());
        }
        if self.all.is_empty() {
            // What the client announced is not believed for more than it may send.
            let announced = usize::try_from(still_announced).unwrap_or(bytes_max);
            let room = (self.first.len() + data.len()).saturating_add(announced);
            self.all.reserve(room.min(bytes_max));
            self.all.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.all.extend_from_slice(&data);
        Ok(())
    }

    fn finish(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::forwarded::Proxies;
    use crate::edge::limits::PerAddress;
    use crate::settings::Settings;
    use http_body::Frame;
    use std::collections::VecDeque;

    /// A body of given chunks; `None` is a pause that never ends.
    struct Chunks(VecDeque<Option<&'static [u8]>>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            match self.0.front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(b"!")) => Poll::Ready(Some(Err(std::io::Error::other("reset")))),
                Some(Some(chunk)) => {
                    let chunk = Bytes::from_static(chunk);
                    self.0.pop_front();
                    Poll::Ready(Some(Ok(Frame::data(chunk))))
                }
            }
        }
    }

    const fn within(all: usize) -> HeldMax {
        HeldMax { all, of_address: 0 }
    }

    /// There is always room to wait.
    fn room() -> Result<(), BodyError> {
        Ok(())
    }

    async fn gathered(
        chunks: &[Option<&'static [u8]>],
        bytes_max: usize,
    ) -> Result<Bytes, BodyError> {
        let mut body = Chunks(chunks.iter().copied().collect());
        let limits = BodyLimits {
            bytes_max,
            timeout_ms: 20,
        };
        let all = Gauge::default();
        let mut buffered = Buffered::new(&all, within(1_000), None);
        gather(&mut body, limits, &mut buffered, room).await
    }

    #[tokio::test]
    async fn bodies_share_one_budget_and_give_their_part_back() {
        let all = Gauge::default();
        let limits = BodyLimits {
            bytes_max: 10,
            timeout_ms: 20,
        };
        let body = || Chunks([Some(&b"0123"[..]), Some(b"45")].into());
        let mut first = Buffered::new(&all, within(10), None);
        assert!(gather(&mut body(), limits, &mut first, room).await.is_ok());
        assert_eq!(all.get(), 6);
        let mut second = Buffered::new(&all, within(10), None);
        let refused = gather(&mut body(), limits, &mut second, room).await;
        assert_eq!(refused, Err(BodyError::NoRoom));
        drop(second);
        assert_eq!(all.get(), 6);
        drop(first);
        assert_eq!(all.get(), 0);
        let mut third = Buffered::new(&all, within(10), None);
        assert!(gather(&mut body(), limits, &mut third, room).await.is_ok());
    }

    #[test]
    fn an_address_is_charged_with_what_is_not_small() {
        let (all, addresses) = (Gauge::default(), PerAddress::default());
        let proxies = Proxies::new(&Settings::default().edge);
        let max = HeldMax {
            all: 100_000,
            of_address: 10_000,
        };
        let of = |last: u8| {
            let holder = Holder::new(&addresses, &proxies, [203, 0, 113, last].into());
            Buffered::new(&all, max, Some(holder))
        };
        let (mut first, mut second) = (of(1), of(1));
        assert_eq!(first.hold(LARGE_MIN - 1), Ok(()));
        assert_eq!(second.hold(10_000), Ok(()), "the first is small");
        assert_eq!(first.hold(1), Err(BodyError::AddressNoRoom));
        assert_eq!(first.hold_for_later(1_000), Err(BodyError::AddressNoRoom));
        drop(second);
        assert_eq!(first.hold(20_000), Ok(()), "it is the only one");
        assert_eq!(of(2).hold(10_000), Ok(()), "each for itself");
        drop(first);
        assert_eq!((all.get(), of(1).hold(10_000)), (0, Ok(())));
    }

    #[tokio::test]
    async fn chunks_join_in_order_up_to_the_limit() {
        assert_eq!(gathered(&[], 10).await.unwrap(), "");
        assert_eq!(
            gathered(&[Some(b"0123456789")], 10).await.unwrap(),
            "0123456789"
        );
        assert_eq!(
            gathered(&[Some(b"01234"), Some(b"567"), Some(b"89")], 10)
                .await
                .unwrap(),
            "0123456789"
        );
        assert_eq!(
            gathered(&[Some(b"01234"), Some(b"567"), Some(b"89x")], 10).await,
            Err(BodyError::TooLarge { bytes_max: 10 })
        );
    }

    #[tokio::test]
    async fn a_body_that_stalls_or_breaks_is_given_up() {
        assert_eq!(
            gathered(&[Some(b"01"), None], 10).await,
            Err(BodyError::Timeout)
        );
        assert_eq!(
            gathered(&[Some(b"01"), Some(b"!")], 10).await,
            Err(BodyError::Incomplete)
        );
    }

    #[tokio::test]
    async fn discarding_ends_at_the_limit_and_at_the_time() {
        let limits = BodyLimits {
            bytes_max: 4,
            timeout_ms: 20,
        };
        discard(
            Chunks([Some(&b"0123"[..]), Some(b"45"), None].into()),
            limits,
        )
        .await;
        discard(Chunks([Some(&b"0"[..]), None].into()), limits).await;
    }
}
