//! Panics as log lines, with the thread and the place: the default prints plain text between the JSON.

use std::panic::PanicHookInfo;

/// Logs every panic of this process from now on.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let place = panic.location().map(ToString::to_string);
        let message = message(panic);
        tracing::error!(thread, place, message, "a thread panicked");
    }));
}

fn message<'p>(panic: &'p PanicHookInfo<'_>) -> &'p str {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
