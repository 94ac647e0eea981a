//! Why there is no certificate, in words that say what to do, and under which label it is counted.

use std::path::PathBuf;

use instant_acme::{Error, Problem};

const RATE_LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";
const NO_SUCH_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Why an order ended without a certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The file of `edge.tls.acme.root`.
    #[error("cannot use {} (edge.tls.acme.root): {error}; name a PEM file with the certificate that signs the directory's own", path.display())]
    Root {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: String,
    },
    /// The authority does not answer.
    #[error(
        "the authority cannot be reached: {0}; check edge.tls.acme.directory, and that this machine may connect to it"
    )]
    Unreachable(String),
    /// It answers that it will not.
    #[error("the authority refuses: {0}")]
    Refused(Problem),
    /// It answers that there were too many orders.
    #[error(
        "the authority asks for fewer orders: {0}; keep the data directory from one start to the next, and try things with its staging directory"
    )]
    RateLimited(Problem),
    /// It could not see the proof.
    #[error(
        "the authority could not prove {domains}: {why}; port 443 of each name has to lead to edge.https, with nothing in between that ends TLS"
    )]
    Unproven {
        /// The names.
        domains: String,
        /// What it says.
        why: String,
    },
    /// It does not take the one proof that there is.
    #[error(
        "the authority does not prove {0} by TLS-ALPN-01; use one that does, or certificate files"
    )]
    NotOffered(String),
    /// The order took too long.
    #[error("the authority did not end the order in time")]
    Timeout,
    /// It gave something that cannot be used.
    #[error("the certificate from the authority cannot be used: {0}")]
    Useless(String),
    /// A file of the data directory.
    #[error("cannot keep {}: {error}; check the disk and the permissions of the data directory", path.display())]
    NotKept {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A file of the data directory that is there. Whether an order is due is not known then.
    #[error(
        "cannot read {}: {error}; mend the disk or the file's permissions, or move it away: without it a new one is ordered",
        path.display()
    )]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The answer to the authority's question cannot be made.
    #[error("cannot make the certificate that answers the authority: {0}")]
    Answer(#[from] rcgen::Error),
    /// Or cannot be served.
    #[error("cannot serve the certificate that answers the authority: {0}")]
    Serving(#[from] rustls::Error),
    /// The two do not understand each other.
    #[error("the exchange with the authority failed: {0}")]
    Exchange(Error),
}

impl From<Error> for AcmeError {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) if problem.r#type.as_deref() == Some(RATE_LIMITED) => {
                Self::RateLimited(problem)
            }
            Error::Api(problem) => Self::Refused(problem),
            Error::Timeout(_) => Self::Timeout,
            // Only our own client makes these.
            Error::Other(error) if error.is::<super::client::RequestError>() => {
                Self::Unreachable(error.to_string())
            }
            other => Self::Exchange(other),
        }
    }
}

impl AcmeError {
    /// True where the account that we have is not known there.
    pub(super) fn is_unknown_account(&self) -> bool {
        matches!(self, Self::Refused(problem) if problem.r#type.as_deref() == Some(NO_SUCH_ACCOUNT))
    }

    /// As the metric says it.
    pub(super) const fn result(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::Timeout => "unreachable",
            Self::RateLimited(_) => "rate_limited",
            Self::Refused(_) | Self::NotOffered(_) => "refused",
            Self::Unproven { .. } => "unproven",
            Self::Root { .. }
            | Self::Useless(_)
            | Self::NotKept { .. }
            | Self::Unreadable { .. }
            | Self::Answer(_)
            | Self::Serving(_)
            | Self::Exchange(_) => "failed",
        }
    }
}
