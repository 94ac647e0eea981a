//! The `tidegate` binary: arguments to settings to app.

fn main() {}
