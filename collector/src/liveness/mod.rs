//! Whether the gateway moves on. Every long-lived thread and task holds a pulse; one thread looks at
//! all of them and at the cursors. `/healthz`, `/readyz?verbose`, metrics and the service manager's
//! watchdog read what it found. It mends nothing: a part that is gone ends the process.

pub mod spawn;
mod part;
mod cursor;
mod durable;
mod report;
mod watcher;
mod metrics;
#[cfg(test)]
mod tests;

pub use cursor::StallView;
pub use metrics::Metrics;
pub use part::{PartState, PartView};
pub use report::Report;
pub use tidegate_event::{Pulse, Pulses};
pub use watcher::{AfterLook, Bounds, LOOK, Liveness};
