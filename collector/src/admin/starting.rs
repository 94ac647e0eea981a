//! Answers probes while the gateway opens its state, before there is a [`super::Admin`]: it is alive
//! and not ready. Everything else is answered 503 with `Retry-After`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{CONNECTION, HeaderValue, RETRY_AFTER};
use http::{Request, StatusCode};
use serde_json::json;

use super::control::Readiness;
use super::listener::{Answer, Body};
use super::reply::{self, Reply};
use crate::settings;

/// How far the replay of the journal is; shared with the thread that replays.
#[derive(Clone, Debug, Default)]
pub struct Replay(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: AtomicU64,
    total: AtomicU64,
}

impl Replay {
    /// Sets the records that were replayed, and how many there are in all.
    pub fn set(&self, done: u64, total: u64) {
        self.0.total.store(total, Ordering::Relaxed);
        self.0.done.store(done, Ordering::Relaxed);
    }

    fn reason(&self) -> String {
        let (done, total) = (&self.0.done, &self.0.total);
        match total.load(Ordering::Relaxed) {
            0 => "starting: the data directory is being opened".to_owned(),
            total => {
                let done = done.load(Ordering::Relaxed);
                format!("starting: {done} of {total} journal records replayed")
            }
        }
    }
}

/// The admin listener's answers until the gateway has started.
#[derive(Debug)]
pub struct Starting {
    replay: Replay,
    settings: settings::Admin,
}

impl Starting {
    /// With what `replay` will say.
    #[must_use]
    pub const fn new(replay: Replay, settings: settings::Admin) -> Self {
        Self { replay, settings }
    }

    fn reply(&self, path: &str) -> Reply {
        let reason = self.replay.reason();
        match path {
            "/healthz" => reply::json(StatusCode::OK, &json!({ "status": "ok" })),
            "/readyz" => {
                let readiness = Readiness {
                    ready: false,
                    reasons: vec![reason],
                };
                reply::json(StatusCode::SERVICE_UNAVAILABLE, &readiness)
            }
            _ => reply::error(StatusCode::SERVICE_UNAVAILABLE, "starting", &reason),
        }
    }
}

impl Answer for Starting {
    fn settings(&self) -> &settings::Admin {
        &self.settings
    }

    async fn answer<B: Body>(&self, request: Request<B>) -> Reply {
        let mut reply = self.reply(request.uri().path());
        let headers = reply.headers_mut();
        // The next request belongs to the listener that follows.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if reply.status() == StatusCode::SERVICE_UNAVAILABLE {
            reply
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};

    use super::*;
    use crate::settings::Settings;

    async fn ask(starting: &Starting, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path);
        let request = request.body(Full::new(Bytes::new())).unwrap();
        let reply = starting.answer(request).await;
        assert_eq!(reply.headers()[CONNECTION], "close");
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_start_is_alive_and_not_ready() {
        let replay = Replay::default();
        let starting = Starting::new(replay.clone(), Settings::default().admin);
        assert_eq!(ask(&starting, "/healthz").await.0, 200);
        let (status, body) = ask(&starting, "/readyz").await;
        assert_eq!(status, 503);
        assert!(body.contains("is being opened"), "{body}");
        replay.set(20, 100);
        let (_, body) = ask(&starting, "/readyz?verbose").await;
        assert!(body.contains("20 of 100 journal records"), "{body}");
        let (status, body) = ask(&starting, "/admin/v1/catalog").await;
        assert_eq!(status, 503);
        assert!(body.contains("\"starting\""), "{body}");
    }
}
