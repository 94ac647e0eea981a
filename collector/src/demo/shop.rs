//! The shop and the live page: static files and one stream of what happens.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, mpsc};

use super::feed::Feed;
use super::pages::Pages;
use super::serve::{Reply, Site, stream, whole};

/// Live pages open at once.
const WATCHERS_MAX: usize = 16;
/// A line now and then tells a page that the stream still lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct Shop {
    pages: Pages,
    feed: Arc<Feed>,
    watchers: Arc<Semaphore>,
}

impl Shop {
    pub(crate) fn new(pages: Pages, feed: Arc<Feed>) -> Self {
        let watchers = Arc::new(Semaphore::new(WATCHERS_MAX));
        Self {
            pages,
            feed,
            watchers,
        }
    }

    fn watch(&self, headers: &HeaderMap) -> Reply {
        let Ok(place) = Arc::clone(&self.watchers).try_acquire_owned() else {
            return text(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many live pages are open",
            );
        };
        let last = headers.get("last-event-id");
        let last = last.and_then(|last| last.to_str().ok()?.parse().ok());
        let (pieces, body) = mpsc::channel(8);
        let feed = Arc::clone(&self.feed);
        tokio::spawn(async move {
            follow(&feed, last.unwrap_or(0), &pieces).await;
            drop(place);
        });
        stream(body)
    }
}

impl Site for Shop {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Reply {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "this shop only shows");
        }
        match request.uri().path() {
            "/live/stream" => self.watch(request.headers()),
            path => match self.pages.get(path) {
                Some((kind, bytes)) => whole(StatusCode::OK, kind, bytes),
                None => text(StatusCode::NOT_FOUND, "no such page: try / or /live"),
            },
        }
    }
}

/// Sends every message after `last`, then each new one, until the page is gone.
async fn follow(feed: &Feed, mut last: u64, pieces: &mpsc::Sender<Bytes>) {
    let mut changed = feed.watch();
    // An id from an earlier run of the demo is ahead of ours: show everything.
    if last > *changed.borrow() {
        last = 0;
    }
    // The first bytes tell the browser that the stream is open.
    let mut beat = true;
    loop {
        if beat && pieces.send(Bytes::from_static(b":\n\n")).await.is_err() {
            return;
        }
        let (messages, newest) = feed.after(last);
        for message in messages {
            if pieces.send(message).await.is_err() {
                return;
            }
        }
        last = newest;
        beat = tokio::select! {
            alive = changed.changed() => match alive {
                Ok(()) => false,
                Err(_) => return,
            },
            () = tokio::time::sleep(HEARTBEAT) => true,
            () = pieces.closed() => return,
        };
    }
}

fn text(status: StatusCode, why: &'static str) -> Reply {
    whole(status, "text/plain; charset=utf-8", why)
}
