//! A stub partner: takes webhooks, checks their Standard Webhooks signature by its own code, and
//! answers as a test tells it to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::SECRET;
use crate::http::shared;
use crate::patience::{eventually, now};

/// One webhook received.
#[derive(Clone, Debug)]
pub struct Callback {
    /// `webhook-id`
    pub id: String,
    /// Its signature is right.
    pub signed: bool,
    /// Its body.
    pub body: Value,
    /// When it came.
    pub at: Instant,
    /// What it was answered.
    pub status: u16,
}

impl Callback {
    /// A text field of its body; empty where it is missing.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or("")
    }
}

/// The running stub.
#[derive(Debug)]
pub struct Receiver {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    callbacks: Vec<Callback>,
    answers: VecDeque<Planned>,
    /// What is answered where nothing is planned, and after how long; 200 at once by default.
    otherwise: Option<(Planned, Duration)>,
}

#[derive(Clone, Copy, Debug)]
struct Planned {
    status: u16,
    retry_after_s: Option<u32>,
}

impl Receiver {
    /// Listens on a free port; answers 200 unless told otherwise.
    ///
    /// # Panics
    /// Where it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let listener = shared().block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let server = shared().spawn(serve(listener, Arc::clone(&state)));
        Self {
            state,
            address,
            server,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// The next webhook gets this answer.
    pub fn answer_next(&self, status: u16, retry_after_s: Option<u32>) {
        let planned = Planned {
            status,
            retry_after_s,
        };
        self.state().answers.push_back(planned);
    }

    /// Every webhook without a planned answer gets this one, after `delay`.
    pub fn answer_always(&self, status: u16, delay: Duration) {
        let planned = Planned {
            status,
            retry_after_s: None,
        };
        self.state().otherwise = Some((planned, delay));
    }

    /// What came so far.
    #[must_use]
    pub fn callbacks(&self) -> Vec<Callback> {
        self.state().callbacks.clone()
    }

    /// Waits until at least `count` came; all of them.
    #[must_use]
    pub fn wait_for(&self, count: usize) -> Vec<Callback> {
        eventually(&format!("{count} callbacks"), || {
            Some(self.callbacks()).filter(|callbacks| callbacks.len() >= count)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        let service = service_fn(move |request| take(request, Arc::clone(&state)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn take(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let accepted = Planned {
        status: 200,
        retry_after_s: None,
    };
    let (planned, delay) = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let planned = state.answers.pop_front().map(|one| (one, Duration::ZERO));
        let planned = planned.or(state.otherwise);
        planned.unwrap_or((accepted, Duration::ZERO))
    };
    tokio::time::sleep(delay).await;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    state.callbacks.push(Callback {
        id: header(&parts.headers, "webhook-id").to_owned(),
        signed: is_signed(&parts.headers, &body, SECRET),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: now(),
        status: planned.status,
    });
    let mut answer = Response::builder().status(planned.status);
    if let Some(seconds) = planned.retry_after_s {
        answer = answer.header("retry-after", seconds);
    }
    Ok(answer
        .body(Full::default())
        .expect("a planned status is one"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name);
    value.and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Standard Webhooks 1.0.0: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, with the
/// secret's bytes behind `whsec_`; several signatures are parted by spaces.
fn is_signed(headers: &HeaderMap, body: &[u8], secret: &str) -> bool {
    let key = secret
        .strip_prefix("whsec_")
        .and_then(|text| STANDARD.decode(text).ok());
    let Some(mut mac) = key.and_then(|key| Hmac::<Sha256>::new_from_slice(&key).ok()) else {
        return false;
    };
    let (id, at) = (
        header(headers, "webhook-id"),
        header(headers, "webhook-timestamp"),
    );
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let mut signatures = header(headers, "webhook-signature").split(' ');
    signatures.any(|signature| signature == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_published_vector_verifies_and_nothing_near_it() {
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &'static str| {
            headers.insert(name, value.parse().unwrap());
        };
        set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek");
        set("webhook-timestamp", "1614265330");
        set(
            "webhook-signature",
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        );
        let body = br#"{"test": 2432232314}"#;
        assert!(is_signed(&headers, body, SECRET));
        assert!(!is_signed(&headers, br#"{"test": 2432232315}"#, SECRET));
        headers.insert("webhook-timestamp", "1614265331".parse().unwrap());
        assert!(!is_signed(&headers, body, SECRET));
    }
}
