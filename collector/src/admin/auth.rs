//! Who may talk to the admin listener: the bearer of its token, or without a token who has shown a
//! certificate, or on loopback programs of this machine but no web page.
//!
//! A token is random, so one SHA-256 is enough to keep it at rest: there is no word to guess.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Uri};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Characters that a token has at least.
pub const TOKEN_CHARS_MIN: usize = 16;

/// What stands in a token file before the digest of a token.
const DIGEST: &str = "sha256:";

/// How to make a token and the file that keeps only its digest; ends what every [`TokenError`] says.
const MAKE: &str = "make one with: openssl rand -hex 32 > admin.secret; \
    printf 'sha256:%s\\n' \"$(tr -d '\\n' < admin.secret | sha256sum | cut -d ' ' -f 1)\" > admin.token";

/// The admin token. Kept as a digest, so that neither Debug nor a comparison's time tells it.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// No token can be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read admin.token_file {}: {source}; {MAKE}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Too short to keep anyone out, or not printable.
    #[error("the token in {} is not one line of at least {TOKEN_CHARS_MIN} visible characters; {MAKE}", path.display())]
    Weak {
        /// Which file.
        path: PathBuf,
    },
    /// Meant as a digest, but it is none.
    #[error("{} begins with {DIGEST} but not with 64 hex digits after it; {MAKE}", path.display())]
    Digest {
        /// Which file.
        path: PathBuf,
    },
    /// It keeps only the digest, which opens nothing.
    #[error("{} keeps only the token's digest; name the file with the token itself: --token-file admin.secret", path.display())]
    Hashed {
        /// Which file.
        path: PathBuf,
    },
}

impl Token {
    /// Takes the one line of a file: a token, or `sha256:` and the token's digest in hex.
    ///
    /// # Errors
    /// [`TokenError`], but never [`TokenError::Hashed`].
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let line = read_line(path)?;
        let Some(digest) = line.strip_prefix(DIGEST) else {
            return Ok(Self::new(&line));
        };
        let mut bytes = [0; 32];
        match hex::decode_to_slice(digest, &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            Err(_) => Err(TokenError::Digest {
                path: path.to_owned(),
            }),
        }
    }

    /// This text as a token.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    fn is(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.0.ct_eq(&given).into()
    }
}

/// What to do with a file that holds the token itself.
pub const HASH: &str = "keep only its digest there: printf 'sha256:%s\\n' \"$(tr -d '\\n' < FILE | sha256sum | cut -d ' ' -f 1)\"";

/// Whether a token file holds the token itself, so that who reads the file has the token.
#[must_use]
pub fn is_plain(path: &Path) -> bool {
    read_token(path).is_ok()
}

/// The text of a token file; for the command line, which has to send it.
///
/// # Errors
/// [`TokenError`]
pub fn read_token(path: &Path) -> Result<String, TokenError> {
    let line = read_line(path)?;
    if line.starts_with(DIGEST) {
        return Err(TokenError::Hashed {
            path: path.to_owned(),
        });
    }
    Ok(line)
}

fn read_line(path: &Path) -> Result<String, TokenError> {
    let text = std::fs::read_to_string(path).map_err(|source| TokenError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.len() < TOKEN_CHARS_MIN || !text.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(TokenError::Weak {
            path: path.to_owned(),
        });
    }
    Ok(text.to_owned())
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No token, or another one.
    #[error("send the token of admin.token_file: Authorization: Bearer TOKEN")]
    Token,
    /// A name that is not this machine's: how a web page reaches loopback by DNS rebinding.
    #[error("this listener answers to loopback names only; set admin.token_file to use others")]
    Host,
    /// A web page of another origin asks.
    #[error("web pages of other origins may not use the admin API")]
    Origin,
}

/// Whether a request may be answered. `listen` is the address of the listener; `is_known` says that
/// the client has shown a certificate.
///
/// # Errors
/// [`Denied`]
pub fn admit(
    headers: &HeaderMap,
    uri: &Uri,
    token: Option<&Token>,
    listen: IpAddr,
    is_known: bool,
) -> Result<(), Denied> {
    let host = authority(headers, uri);
    if let Some(origin) = headers.get(ORIGIN) {
        let is_own = |host: &str| {
            let schemes = ["http", "https"].map(|scheme| format!("{scheme}://{host}"));
            schemes
                .iter()
                .any(|own| origin.as_bytes() == own.as_bytes())
        };
        if !host.is_some_and(is_own) {
            return Err(Denied::Origin);
        }
    }
    match token {
        Some(token) if bearer(headers).is_some_and(|given| token.is(given)) => Ok(()),
        Some(_) => Err(Denied::Token),
        None if is_known => Ok(()),
        None if host.is_some_and(|host| is_own_name(host, listen)) => Ok(()),
        None => Err(Denied::Host),
    }
}

fn authority<'r>(headers: &'r HeaderMap, uri: &'r Uri) -> Option<&'r str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST)?.to_str().ok(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

fn is_own_name(host: &str, listen: IpAddr) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback() || address == listen)
}
