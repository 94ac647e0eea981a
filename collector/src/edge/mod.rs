//! The edge: sockets in, answers out. It finds a request's source by its write key, runs the pure
//! pipeline, hands the result to the core, and writes the answer once the receipt is there. It folds
//! nothing and decides nothing about visitors.
//!
//! `listener` is sockets, TLS and versions of HTTP. Each ends in `Edge::handle`, the first function
//! of `intake/chain.rs`; from there on a request is the same however it came.

mod ack_times;
mod metrics;
mod listening;
mod terms;
mod shared;
mod tls;
mod listener;
mod request;
mod route;
mod forwarded;
mod limits;
mod body;
mod inflate;
mod sources;
mod cookie;
mod accept;
mod intake;
mod tag;
mod endpoint;
mod refusal;
mod reply;
mod unsent;
mod cors;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use http::HeaderValue;

pub use accept::Accept;
pub use body::BodyError;
pub use limits::Progress;
pub use listener::{BindError, Given, Listeners, Sockets};
pub use metrics::EdgeMetrics;
pub use request::RawHit;
#[cfg(test)]
pub(crate) use route::documented;
pub use shared::Edge;
pub use sources::{RuntimeCatalog, SourceMetrics};
pub use tls::{
    Acme, AcmeError, CertificateError, Certificates, Fresh, Tls, TlsError, TlsMetrics, obtained,
    unusable, watch,
};

/// `Connection: close`
const CLOSE: HeaderValue = HeaderValue::from_static("close");
