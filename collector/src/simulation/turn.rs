//! A machine of the background under the simulation's interpreter: no task, virtual time.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use crate::background::Next;
use crate::core::Core;

/// A future that the simulation polls.
pub(super) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Polls once; what is not ready stays for a later turn.
pub(super) fn poll(task: &mut Option<Task>) {
    let mut context = Context::from_waker(Waker::noop());
    task.take_if(|task| task.as_mut().poll(&mut context).is_ready());
}

/// When a machine is stepped next.
pub(super) struct Turn {
    pub(super) next: Next,
    begun_ms: u64,
    event: Option<Task>,
}

impl Turn {
    /// At once.
    pub(super) fn new() -> Self {
        Self {
            next: Next::Again,
            begun_ms: 0,
            event: None,
        }
    }

    /// Whether what the machine waits for has come.
    pub(super) fn is_due(&mut self, now_ms: u64) -> bool {
        poll(&mut self.event);
        self.event.is_none() || now_ms >= self.begun_ms + self.next.bound_ms()
    }

    /// The machine was stepped, and waits.
    pub(super) fn stepped(&mut self, next: Next, core: &Core, now_ms: u64) {
        let core = core.clone();
        self.next = next;
        self.begun_ms = now_ms;
        self.event = Some(Box::pin(async move { next.event(&core).await }));
    }
}
