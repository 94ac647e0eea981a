//! Answers: the one table from outcomes to statuses, and the bytes that clients get. The hot
//! answer, one accepted event, is written without formatting and into the request's own header map.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER, SET_COOKIE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use tidegate_event::Outcome;
use tidegate_event::json::write_str;

use super::body::BodyError;
use super::cors::Cors;
use super::intake::Row;
use super::limits::{Budget, HeldMax, Holder};
use super::refusal::Refusal;
use super::route::Route;
use super::tag::Script;
use super::unsent::Unsent;
use crate::pipeline::decode::MESSAGE_ID_BYTES_MAX;

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// draft-ietf-httpapi-ratelimit-headers-03, the form in use.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const GIF: HeaderValue = HeaderValue::from_static("image/gif");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const SCRIPT_CACHE: HeaderValue = HeaderValue::from_static("public, max-age=300");
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ANY: HeaderValue = HeaderValue::from_static("*");
const CROSS_ORIGIN: HeaderValue = HeaderValue::from_static("cross-origin");

/// Bytes of one message id in an answer, with its quotes: the longest there is, each character escaped
/// by one more.
const MESSAGE_ID_JSON_MAX: usize = 2 * MESSAGE_ID_BYTES_MAX + 2;

/// The 43-byte transparent image that the Snowplow collector answers with.
pub(super) const PIXEL: [u8; 43] = *b"GIF89a\x01\x00\x01\x00\xf0\x00\x00\xff\xff\xff\x00\x00\x00\
    \x21\xf9\x04\x05\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00\x3b";

/// The status of one outcome: the only place that says so.
pub(super) const fn status_of(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Accepted | Outcome::Duplicate | Outcome::ConsentDenied => StatusCode::OK,
        Outcome::Invalid => StatusCode::BAD_REQUEST,
        Outcome::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Outcome::Unauthorized => StatusCode::UNAUTHORIZED,
        Outcome::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Outcome::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        Outcome::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The status of a request refused as a whole: that of its outcome. A body that was too slow is no
/// fault of its events: what clients send again after 408, most of them drop after 400.
const fn status_of_refusal(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::Body(BodyError::Timeout) => StatusCode::REQUEST_TIMEOUT,
        other => status_of(other.outcome()),
    }
}

/// The outcome whose status speaks for a whole request: what the client should send again comes
/// first, a good event makes up for bad neighbours, and only a request without any is refused.
pub(super) fn overall(rows: &[Row<'_>]) -> Outcome {
    let any = |wanted| rows.iter().any(|row| row.outcome == wanted);
    for again in [Outcome::Overloaded, Outcome::RateLimited, Outcome::Internal] {
        if any(again) {
            return again;
        }
    }
    if rows.iter().any(|row| row.outcome.is_success()) {
        Outcome::Accepted
    } else if any(Outcome::Invalid) {
        Outcome::Invalid
    } else {
        rows.first().map_or(Outcome::Invalid, |row| row.outcome)
    }
}

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Json,
    Gif,
    Script,
    ScriptVersion,
    Empty,
}

/// An answer before its headers are written.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    content: Content,
    body: Bytes,
    retry_after_s: Option<u32>,
    budget: Option<Budget>,
    set_cookie: Option<HeaderValue>,
    allow: Option<&'static str>,
    etag: Option<HeaderValue>,
}

impl Reply {
    fn new(status: StatusCode, content: Content, body: Bytes) -> Self {
        Self {
            status,
            content,
            body,
            retry_after_s: None,
            budget: None,
            set_cookie: None,
            allow: None,
            etag: None,
        }
    }

    /// 200 with ready JSON.
    pub(super) fn json(body: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, Content::Json, body.into())
    }

    /// 200, or 503 while the gateway is about to stop or its disk does not answer.
    pub(super) fn health(draining: bool, disk_hangs: bool) -> Self {
        let body: &[u8] = match (draining, disk_hangs) {
            (false, false) => return Self::json(&b"{\"status\":\"ok\"}"[..]),
            (true, _) => b"{\"status\":\"draining\"}",
            (false, true) => b"{\"status\":\"disk_hangs\"}",
        };
        let body = Bytes::from_static(body);
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Content::Json, body)
    }

    /// 200 without a body.
    pub(super) fn empty() -> Self {
        Self::new(StatusCode::OK, Content::Empty, Bytes::new())
    }

    /// 200 with the tag, or 304 where the client has it.
    pub(super) fn script(script: &Script, known: bool, immutable: bool) -> Self {
        let content = if immutable {
            Content::ScriptVersion
        } else {
            Content::Script
        };
        let mut reply = if known {
            Self::new(StatusCode::NOT_MODIFIED, content, Bytes::new())
        } else {
            Self::new(StatusCode::OK, content, script.text.clone())
        };
        reply.etag = Some(script.etag.clone());
        reply
    }

    /// The results of a readable request.
    pub(super) fn results(rows: &[Row<'_>]) -> Self {
        let outcome = overall(rows);
        let mut reply = Self::json(results_json(rows, outcome));
        reply.status = status_of(outcome);
        reply
    }

    /// The same answer, counted until the client has taken it, and charged to its address, where that is
    /// limited. Where there is no room for it, 503: its
    /// events, if it is about events, are copies when they come again.
    pub(super) fn held(mut self, unsent: &Unsent, holder: Holder<'_>, max: HeldMax) -> Self {
        if self.content != Content::Json {
            return self;
        }
        let body = std::mem::take(&mut self.body);
        match unsent.hold(body, || holder.limited(), max) {
            Ok(body) => Self { body, ..self },
            Err(withheld) => Self::error(
                StatusCode::SERVICE_UNAVAILABLE,
                Outcome::Overloaded.as_str(),
                message(Outcome::Overloaded),
                &withheld.to_string(),
            )
            .with_retry_after(Some(1)),
        }
    }

    /// A request that was refused as a whole.
    pub(super) fn refused(refusal: &Refusal) -> Self {
        let outcome = refusal.outcome();
        let detail = refusal.to_string();
        Self::error(
            status_of_refusal(refusal),
            outcome.as_str(),
            message(outcome),
            &detail,
        )
    }

    /// An error that is not about events.
    pub(super) fn error(status: StatusCode, code: &str, message: &str, detail: &str) -> Self {
        let mut body = Vec::with_capacity(96 + message.len() + detail.len());
        body.extend_from_slice(b"{\"success\":false");
        write_error(&mut body, code, message);
        body.extend_from_slice(b",\"detail\":");
        write_str(&mut body, detail);
        body.push(b'}');
        Self::new(status, Content::Json, body.into())
    }

    /// 405 with the methods that are taken.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut reply = Self::error(status, "method_not_allowed", "use another method", allow);
        reply.allow = Some(allow);
        reply
    }

    /// The same answer as an image: a page's `<img>` shows no error whatever the status.
    fn into_image(mut self) -> Self {
        self.content = Content::Gif;
        self.body = Bytes::from_static(&PIXEL);
        self
    }

    /// The same answer in the form that every answer of this path has.
    pub(super) fn shaped(self, route: Route) -> Self {
        if route.answers_by_image() {
            self.into_image()
        } else {
            self
        }
    }

    pub(super) fn with_cookie(mut self, cookie: Option<HeaderValue>) -> Self {
        self.set_cookie = cookie;
        self
    }

    /// Adds what the client may still send; the tighter one where there are two.
    pub(super) fn with_budget(mut self, budget: Option<Budget>) -> Self {
        let both = self.budget.into_iter().chain(budget);
        self.budget = both.min_by_key(|budget| budget.remaining);
        self
    }

    /// When the client should come again; kept on 429 and 503 only.
    pub(super) fn with_retry_after(mut self, seconds: Option<u32>) -> Self {
        let again = matches!(
            self.status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        );
        self.retry_after_s = again.then_some(seconds.unwrap_or(1));
        self
    }

    /// The response, written into `headers`: the request's own map, emptied, whose memory hyper
    /// then reuses for the next request of the connection.
    pub(super) fn into_response(self, mut headers: HeaderMap, cors: Cors) -> Response<Full<Bytes>> {
        headers.clear();
        match self.content {
            Content::Json => {
                headers.insert(CONTENT_TYPE, JSON);
                headers.insert(CACHE_CONTROL, NO_STORE);
            }
            Content::Gif => {
                headers.insert(CONTENT_TYPE, GIF);
                headers.insert(CACHE_CONTROL, NO_STORE);
                headers.insert(RESOURCE_POLICY, CROSS_ORIGIN);
            }
            Content::Script | Content::ScriptVersion => {
                let immutable = self.content == Content::ScriptVersion;
                headers.insert(CONTENT_TYPE, SCRIPT);
                headers.insert(
                    CACHE_CONTROL,
                    if immutable { IMMUTABLE } else { SCRIPT_CACHE },
                );
                headers.insert(RESOURCE_POLICY, CROSS_ORIGIN);
            }
            // Browsers keep a preflight by its Access-Control-Max-Age. Shared caches must not store it.
            Content::Empty => {
                headers.insert(CACHE_CONTROL, NO_STORE);
            }
        }
        let optional = [
            (RETRY_AFTER, self.retry_after_s.map(HeaderValue::from)),
            (SET_COOKIE, self.set_cookie),
            (ALLOW, self.allow.map(HeaderValue::from_static)),
            (ETAG, self.etag),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        if let Some(budget) = self.budget {
            headers.insert(RATE_LIMIT, HeaderValue::from(budget.limit));
            headers.insert(RATE_REMAINING, HeaderValue::from(budget.remaining));
            // A bucket is full again within a second, whatever was taken.
            let reset_s = self.retry_after_s.unwrap_or(1);
            headers.insert(RATE_RESET, HeaderValue::from(reset_s));
        }
        match self.content {
            // One answer for every page, so that a cache between us needs to keep only one.
            Content::Script | Content::ScriptVersion => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
            }
            Content::Json | Content::Gif | Content::Empty => cors.apply(&mut headers),
        }
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}

const fn message(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted | Outcome::Duplicate | Outcome::ConsentDenied => "taken",
        Outcome::Invalid => "no event could be taken",
        Outcome::TooLarge => "the request is too large",
        Outcome::Unauthorized => "the write key is missing or unknown",
        Outcome::RateLimited => "too many events, send them again later",
        Outcome::Overloaded => "no event can be taken now, send them again later",
        Outcome::Internal => "the gateway failed, send the events again",
    }
}

fn results_json(rows: &[Row<'_>], overall: Outcome) -> Vec<u8> {
    // One accepted event fills its buffer exactly, so that it becomes `Bytes` without a copy.
    const AROUND: usize =
        r#"{"success":true,"results":[{"message_id":"","outcome":"accepted"}]}"#.len();
    let ids: usize = rows
        .iter()
        .map(|row| row.message_id.as_ref().map_or(4, |id| id.len()))
        .sum();
    let mut out = Vec::with_capacity(AROUND * rows.len() + ids);
    let success = rows.iter().all(|row| row.outcome.is_success());
    out.extend_from_slice(if success {
        b"{\"success\":true"
    } else {
        b"{\"success\":false"
    });
    if !success && !overall.is_success() {
        write_error(&mut out, overall.as_str(), message(overall));
    }
    out.extend_from_slice(b",\"results\":[");
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_row(&mut out, row);
    }
    out.extend_from_slice(b"]}");
    out
}

fn write_row(out: &mut Vec<u8>, row: &Row<'_>) {
    out.extend_from_slice(b"{\"message_id\":");
    write_id(out, row.message_id.as_deref());
    out.extend_from_slice(b",\"outcome\":\"");
    out.extend_from_slice(row.outcome.as_str().as_bytes());
    out.push(b'"');
    if let Some(reason) = &row.reason {
        out.extend_from_slice(b",\"reason\":");
        write_str(out, reason);
    }
    out.push(b'}');
}

/// An id that is mostly control characters would come back six times as long as it was sent.
fn write_id(out: &mut Vec<u8>, id: Option<&str>) {
    let before = out.len();
    if let Some(id) = id {
        write_str(out, id);
        if out.len() - before <= MESSAGE_ID_JSON_MAX {
            return;
        }
        out.truncate(before);
    }
    out.extend_from_slice(b"null");
}

fn write_error(out: &mut Vec<u8>, code: &str, message: &str) {
    out.extend_from_slice(b",\"code\":");
    write_str(out, code);
    out.extend_from_slice(b",\"message\":");
    write_str(out, message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use http::Method;
    use std::borrow::Cow;

    fn row(outcome: Outcome) -> Row<'static> {
        Row {
            message_id: None,
            outcome,
            reason: None,
        }
    }

    fn status(outcomes: &[Outcome]) -> u16 {
        let rows: Vec<_> = outcomes.iter().map(|outcome| row(*outcome)).collect();
        Reply::results(&rows).status.as_u16()
    }

    #[test]
    fn the_status_follows_the_table_of_the_contract() {
        use Outcome::{
            Accepted, ConsentDenied, Duplicate, Internal, Invalid, Overloaded, RateLimited,
            TooLarge,
        };
        for (outcomes, expected) in [
            (&[Accepted][..], 200),
            (&[Duplicate], 200),
            (&[ConsentDenied], 200),
            (&[Accepted, Invalid, TooLarge], 200),
            (&[Invalid, Invalid], 400),
            (&[Invalid, TooLarge], 400),
            (&[TooLarge, TooLarge], 413),
            (&[Accepted, RateLimited], 429),
            (&[Accepted, Overloaded], 503),
            (&[RateLimited, Overloaded, Invalid], 503),
            (&[Accepted, Internal], 500),
            (&[], 400),
        ] {
            assert_eq!(status(outcomes), expected, "{outcomes:?}");
        }
    }

    #[test]
    fn one_accepted_event_is_answered_from_one_exact_buffer() {
        let rows = [Row {
            message_id: Some(Cow::Borrowed("m-1")),
            ..row(Outcome::Accepted)
        }];
        let json = results_json(&rows, Outcome::Accepted);
        assert_eq!(
            std::str::from_utf8(&json).unwrap(),
            r#"{"success":true,"results":[{"message_id":"m-1","outcome":"accepted"}]}"#
        );
        assert_eq!(json.len(), json.capacity());
    }

    #[test]
    fn results_are_json_whatever_the_ids_hold() {
        let rows = [
            Row {
                message_id: Some(Cow::Borrowed("a\"b\\\u{1}\u{2028}")),
                ..row(Outcome::Accepted)
            },
            Row {
                reason: Some("type must be track".to_owned()),
                ..row(Outcome::Invalid)
            },
        ];
        let json = results_json(&rows, overall(&rows));
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["success"], false);
        assert_eq!(value["code"], serde_json::Value::Null);
        assert_eq!(value["results"][0]["message_id"], "a\"b\\\u{1}\u{2028}");
        assert_eq!(value["results"][1]["message_id"], serde_json::Value::Null);
        assert_eq!(value["results"][1]["reason"], "type must be track");
    }

    #[test]
    fn an_id_of_control_characters_is_not_sent_back() {
        let (quotes, controls) = ("\"".repeat(100), "\u{1}".repeat(100));
        let rows = [quotes.as_str(), &controls].map(|id| Row {
            message_id: Some(Cow::Borrowed(id)),
            ..row(Outcome::Invalid)
        });
        let json = results_json(&rows, Outcome::Invalid);
        assert!(json.len() < 500, "{}", json.len());
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["results"][0]["message_id"], quotes);
        assert_eq!(value["results"][1]["message_id"], serde_json::Value::Null);
        assert_eq!(value["results"][1]["outcome"], "invalid");
    }

    #[test]
    fn the_pixel_is_the_43_byte_image_of_the_contract() {
        let image = base64::engine::general_purpose::STANDARD
            .decode("R0lGODlhAQABAPAAAP///wAAACH5BAUAAAAALAAAAAABAAEAAAICRAEAOw==")
            .unwrap();
        assert_eq!(image.len(), 43);
        assert_eq!(PIXEL.as_slice(), image);
    }

    #[test]
    fn retry_after_stands_on_429_and_503_only() {
        for (outcome, expected) in [
            (Outcome::Accepted, None),
            (Outcome::Invalid, None),
            (Outcome::RateLimited, Some("7")),
            (Outcome::Overloaded, Some("7")),
        ] {
            let reply = Reply::results(&[row(outcome)]).with_retry_after(Some(7));
            let cors = Cors::of(&Method::POST, &HeaderMap::new());
            let response = reply.into_response(HeaderMap::new(), cors);
            let header = response.headers().get(RETRY_AFTER);
            assert_eq!(header.map(|value| value.to_str().unwrap()), expected);
        }
    }

    #[test]
    fn nothing_of_the_requests_headers_reaches_the_answer() {
        let mut headers = HeaderMap::new();
        headers.insert("cookie", HeaderValue::from_static("secret=1"));
        headers.insert("authorization", HeaderValue::from_static("Basic x"));
        let cors = Cors::of(&Method::POST, &headers);
        let response = Reply::json("{}").into_response(headers, cors);
        assert_eq!(response.headers().len(), 2);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    }
}
