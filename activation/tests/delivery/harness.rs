//! A receiver that answers as told and remembers what it got, and a short way to build the rest.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tidegate_activation::destinations::webhook::{self, SigningKey};
use tidegate_activation::{
    Activation, AudienceChange, BreakerState, Clock, DestinationConfig, DestinationStatus, Head,
    Intent, RetryPolicy, Settings,
};
use tidegate_event::{Change, ProfileId, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::Notify;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// The one patience of all tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// Real time passes; the start is fixed.
#[derive(Debug)]
pub(crate) struct TestClock(tokio::time::Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let ms = i64::try_from(self.0.elapsed().as_millis()).unwrap();
        Timestamp(1_795_355_327_974 + ms)
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) at: tokio::time::Instant,
    pub(crate) body: serde_json::Value,
}

impl Received {
    pub(crate) fn change(&self) -> (String, u64) {
        (
            self.body["change"].as_str().unwrap().to_owned(),
            self.body["epoch"].as_u64().unwrap(),
        )
    }

    pub(crate) fn profile(&self) -> u128 {
        ProfileId::parse(self.body["profile_id"].as_str().unwrap())
            .unwrap()
            .0
    }
}

/// What the receiver answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Status(u16),
    RetryAfter(u16, &'static str),
    Redirect(String),
    /// Never.
    Hang,
}

#[derive(Debug, Default)]
struct Book {
    received: Vec<Received>,
    replies: VecDeque<Reply>,
    otherwise: Option<Reply>,
}

/// An HTTP server on a free port.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    book: Arc<Mutex<Book>>,
    news: Arc<Notify>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?token=t", listener.local_addr().unwrap());
        let receiver = Self {
            url,
            book: Arc::default(),
            news: Arc::default(),
        };
        tokio::spawn(receiver.clone().serve(listener));
        receiver
    }

    /// Answers the next requests with these, in order, then 200 again.
    pub(crate) fn then(&self, replies: impl IntoIterator<Item = Reply>) -> &Self {
        self.book.lock().unwrap().replies.extend(replies);
        self
    }

    /// Answers everything that has no answer of its own with this.
    pub(crate) fn always(&self, reply: Reply) -> &Self {
        self.book.lock().unwrap().otherwise = Some(reply);
        self
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.book.lock().unwrap().received.clone()
    }

    pub(crate) async fn until_received(&self, count: usize) -> Vec<Received> {
        let wait = async {
            loop {
                let news = self.news.notified();
                let received = self.received();
                if received.len() >= count {
                    return received;
                }
                news.await;
            }
        };
        let received = tokio::time::timeout(PATIENCE, wait).await;
        received.unwrap_or_else(|_| panic!("{} of {count} arrived", self.received().len()))
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let receiver = self.clone();
            let service = service_fn(move |request| receiver.clone().answer(request));
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let (id, stamp) = (header("webhook-id"), header("webhook-timestamp"));
        let signature = header("webhook-signature");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let key = SigningKey::parse(SECRET).unwrap();
        assert!(
            key.verify(&id, stamp.parse().unwrap(), &body, &signature),
            "bad signature"
        );
        let body = serde_json::from_slice(&body).unwrap();
        let at = tokio::time::Instant::now();
        let reply = {
            let mut book = self.book.lock().unwrap();
            book.received.push(Received { id, at, body });
            let next = book.replies.pop_front().or_else(|| book.otherwise.clone());
            next.unwrap_or(Reply::Status(200))
        };
        self.news.notify_waiters();
        let (status, header) = match reply {
            Reply::Status(status) => (status, None),
            Reply::RetryAfter(status, value) => (status, Some(("retry-after", value.to_owned()))),
            Reply::Redirect(to) => (302, Some(("location", to))),
            Reply::Hang => std::future::pending().await,
        };
        let mut response = Response::builder().status(status);
        if let Some((name, value)) = header {
            response = response.header(name, value);
        }
        Ok(response.body(Full::default()).unwrap())
    }
}

/// Retries within milliseconds, so that tests need not wait.
pub(crate) fn quick(name: &str, receiver: &Receiver) -> DestinationConfig {
    let mut config =
        DestinationConfig::new(name, webhook::kind(&receiver.url, SECRET), &["buyers"]);
    config.retry = RetryPolicy {
        base_ms: 20,
        pause_ms: 20,
        cap_ms: 60_000,
        ..RetryPolicy::default()
    };
    config
}

pub(crate) fn settings() -> Settings {
    Settings {
        allow_private: vec!["127.0.0.1".parse().unwrap()],
        ..Settings::default()
    }
}

pub(crate) fn open(path: &Path, settings: Settings) -> Activation {
    let database = fjall::Database::builder(path).open().unwrap();
    let clock = Arc::new(TestClock(tokio::time::Instant::now()));
    Activation::open(database, clock, settings).unwrap()
}

/// A store in a directory of its own and the handle on it.
pub(crate) struct Bench {
    pub(crate) activation: Activation,
    _directory: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn with(settings: Settings, destinations: &[DestinationConfig]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let activation = open(directory.path(), settings);
        activation.set_destinations(destinations).unwrap();
        Self {
            activation,
            _directory: directory,
        }
    }

    pub(crate) fn new(destinations: &[DestinationConfig]) -> Self {
        Self::with(settings(), destinations)
    }

    pub(crate) fn hand_in(&self, batch: &[Intent]) {
        hand_in(&self.activation, batch);
    }

    /// As the collector's cursor does: waits where it should, until all of it is taken.
    pub(crate) async fn follow(&self, batch: &[Intent]) {
        let next = batch.last().unwrap().offset() + 1;
        let follow = async {
            while self.activation.hand_in(batch, next).unwrap() < next {
                self.activation.wait_for_capacity().await;
            }
        };
        let followed = tokio::time::timeout(PATIENCE, follow).await;
        followed.expect("the cursor stands still");
    }

    pub(crate) fn status(&self, name: &str) -> DestinationStatus {
        let mut list = self.activation.list().into_iter();
        list.find(|one| one.name == name).unwrap()
    }
}

pub(crate) fn hand_in(activation: &Activation, batch: &[Intent]) {
    let next = batch.last().unwrap().offset() + 1;
    activation.hand_in(batch, next).unwrap();
}

/// Odd epochs enter, even ones leave.
pub(crate) fn change(profile: u128, epoch: u32, offset: u64) -> Intent {
    Intent::AudienceChange(AudienceChange {
        head: Head {
            offset,
            profile: ProfileId(profile),
            anonymous_id: Some(format!("anon-{profile}")),
            user_id: None,
            occurred_at: Timestamp(1_795_355_327_974),
        },
        segment: "buyers".to_owned(),
        change: if epoch % 2 == 1 {
            Change::Enter
        } else {
            Change::Exit
        },
        epoch,
        reason: None,
        merged_into: None,
    })
}

/// Looks again until `seen` says yes: state that no message announces.
pub(crate) async fn eventually(what: &str, mut seen: impl FnMut() -> bool) {
    let wait = async {
        while !seen() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, wait).await.is_ok(),
        "never: {what}"
    );
}

/// Returns once an answer has made the first destination wait.
pub(crate) async fn until_paused(bench: &Bench) {
    eventually("paused", || {
        bench.activation.list()[0].breaker != BreakerState::Closed
    })
    .await;
}
