//! What a trace records of a request, in builds with and without OpenTelemetry.

use http::{Method, StatusCode, Version};

/// The end of a part of the way from head to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The body has arrived and is inflated.
    Received,
    /// Every event went through the pipeline and into the journal's buffer.
    Decided,
    /// The disk, and Kafka where it is asked to, have them.
    Durable,
}

/// How a request was answered. The route is one of ours, never the path as sent.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The path that it stands for; None: it has none.
    pub route: Option<&'static str>,
    /// Its protocol.
    pub version: Version,
    /// The answer's status.
    pub status: StatusCode,
}
