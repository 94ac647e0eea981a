//! A request's body: read and inflated where events come in it, else thrown away.

use bytes::Bytes;
use http::Version;
use http::header::EXPECT;
use http::request::Parts;
use http_body::Body;
use tidegate_event::Outcome;

use super::admit::Admitted;
use super::chain::Head;
use crate::edge::Edge;
use crate::edge::accept::Accept;
use crate::edge::body::{self, BodyError, BodyLimits, Buffered};
use crate::edge::refusal::Refusal;
use crate::edge::route::Route;
use crate::edge::terms::Terms;

/// Times the body limit that is read and thrown away after a 413, so that the client sees it.
const DISCARD_FACTOR: usize = 4;

/// How long an answer that needs no body waits for the end of one that comes over HTTP/2.
const NEEDLESS_BODY_PATIENCE_MS: u64 = 1_000;

/// Drain time after a late body, or one refused for want of room on a connection that may bring many
/// at once, so that the client can read the answer.
const LATE_BODY_PATIENCE_MS: u64 = 1_000;

/// Waits for the end of a body that no step reads. Over HTTP/2 an answer before a stream's end closes
/// the stream, and hides what was wrong with its rest.
pub(super) async fn await_needless<B>(head: &Head<'_>, body: &mut B)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    let is_read = head.route.is_some_and(Route::reads_body);
    if head.parts.version == Version::HTTP_2 && !body.is_end_stream() && !is_read {
        let limits = BodyLimits {
            bytes_max: head.terms.body_bytes_max,
            timeout_ms: NEEDLESS_BODY_PATIENCE_MS,
        };
        body::discard(body, limits).await;
    }
}

/// Reads on after a refusal and throws away what comes, aside.
pub(super) async fn discard_rest<B>(head: &Head<'_>, mut body: B, refusal: &Refusal)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    let parts = head.parts;
    // A client that waits for "100 Continue" has sent nothing and must not be asked to.
    if parts.headers.contains_key(EXPECT) {
        return;
    }
    let limits = limits(head.terms);
    let no_room = refusal.outcome() == Outcome::Overloaded;
    let timeout_ms = match refusal {
        Refusal::Body(BodyError::Timeout) => LATE_BODY_PATIENCE_MS,
        // Over HTTP/1.1 it holds no more than its own connection.
        _ if no_room && parts.version >= Version::HTTP_2 => LATE_BODY_PATIENCE_MS,
        _ => limits.timeout_ms,
    };
    let limits = BodyLimits {
        bytes_max: limits.bytes_max.saturating_mul(DISCARD_FACTOR),
        timeout_ms,
    };
    // What has arrived is thrown away here: under overload a task for each would cost more than the
    // refusal.
    if !body::is_discarded(&mut body).await {
        tokio::spawn(body::discard(body, limits));
    }
}

impl<A: Accept> Edge<A> {
    /// The request with its body, where its endpoint reads one.
    pub(super) async fn content<'t, B>(
        &'t self,
        head: &Head<'t>,
        route: Route,
        body: &mut B,
        mut admitted: Admitted<'t>,
    ) -> Result<Admitted<'t>, Refusal>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        if !route.reads_body() {
            return Ok(admitted);
        }
        let limits = limits(head.terms);
        let wait = || {
            self.awaited
                .enter(admitted.client.ip, head.terms.awaited_max)
        };
        let gathered = body::gather(body, limits, &mut admitted.buffered, wait).await;
        let buffered = &mut admitted.buffered;
        match gathered.and_then(|sent| self.inflated(head.parts, sent, limits, buffered)) {
            Ok(body) => {
                admitted.body = body;
                Ok(admitted)
            }
            Err(error) => {
                self.metrics.rejected_body(error);
                Err(Refusal::Body(error))
            }
        }
    }

    fn inflated(
        &self,
        parts: &Parts,
        sent: Bytes,
        limits: BodyLimits,
        buffered: &mut Buffered<'_>,
    ) -> Result<Bytes, BodyError> {
        let sent_bytes = sent.len();
        self.metrics.body_bytes.inc_by(sent_bytes as u64);
        let body = body::decode(sent, &parts.headers, limits.bytes_max)?;
        if body.len() != sent_bytes {
            buffered.hold(body.len())?;
            self.metrics.inflated_bytes.inc_by(body.len() as u64);
        }
        Ok(body)
    }
}

const fn limits(terms: &Terms) -> BodyLimits {
    BodyLimits {
        bytes_max: terms.body_bytes_max,
        timeout_ms: terms.body_timeout_ms,
    }
}
