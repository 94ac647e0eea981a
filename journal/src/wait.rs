//! The journal's futures, for any runtime. Each holds one place in a list while it waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::core::Core;
use crate::error::Fatal;
use crate::waiters::{NEVER, Place};

/// A future that asks `ready` whenever the watermark passes `target`, and when the journal ends.
#[derive(Debug)]
struct Wait {
    core: Arc<Core>,
    target: u64,
    place: Option<Place>,
}

impl Wait {
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        ready: impl Fn(&Core) -> Option<T>,
    ) -> Poll<T> {
        if let Some(value) = ready(&self.core) {
            return Poll::Ready(value);
        }
        self.core
            .waiters
            .enter(&mut self.place, self.target, context.waker());
        // A change before the entry wakes no waiter: look before waiting.
        ready(&self.core).map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.core.waiters.leave(self.place);
    }
}

/// See [`crate::Journal::wait_durable`].
#[derive(Debug)]
pub struct WaitDurable(Wait);

impl WaitDurable {
    pub(crate) fn new(core: Arc<Core>, offset: u64) -> Self {
        Self(Wait {
            core,
            target: offset,
            place: None,
        })
    }
}

impl Future for WaitDurable {
    type Output = Result<(), Fatal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let offset = self.0.target;
        self.0.poll(context, |core| {
            if core.durable() > offset {
                return Some(Ok(()));
            }
            // The committer's last batch is published before it says that it has ended.
            (core.ended() && core.durable() <= offset).then(|| Err(core.end()))
        })
    }
}

/// See [`crate::Journal::wait_past`].
#[derive(Debug)]
pub struct WaitPast(Wait);

impl WaitPast {
    pub(crate) fn new(core: Arc<Core>, offset: u64) -> Self {
        Self(Wait {
            core,
            target: offset,
            place: None,
        })
    }
}

impl Future for WaitPast {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let offset = self.0.target;
        self.0.poll(context, |core| {
            (core.durable() > offset || core.ended()).then_some(())
        })
    }
}

/// See [`crate::Journal::on_fatal`].
#[derive(Debug)]
pub struct OnFatal(Wait);

impl OnFatal {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self(Wait {
            core,
            target: NEVER,
            place: None,
        })
    }
}

impl Future for OnFatal {
    type Output = Fatal;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Fatal> {
        self.0.poll(context, Core::failure)
    }
}
