//! A transport whose answers are written before. In a stepped activation only test calls use it: the
//! engine hands out the requests of workers itself.

use std::collections::VecDeque;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use parking_lot::Mutex;
use tidegate_event::Timestamp;

use crate::retry::Answer;
use crate::transport::{Answering, Transport};

/// See the module. Without an answer it times out at once.
#[derive(Debug, Default)]
pub struct ScriptedTransport(Mutex<VecDeque<Answer>>);

impl ScriptedTransport {
    /// Answers the next request that has no answer yet.
    pub fn then(&self, answer: Answer) {
        self.0.lock().push_back(answer);
    }
}

impl Transport for ScriptedTransport {
    fn send(&self, _: Request<Full<Bytes>>, _: u64, _: Timestamp) -> Answering<'_> {
        let answer = self.0.lock().pop_front().unwrap_or(Answer::Timeout);
        Box::pin(std::future::ready(answer))
    }
}
