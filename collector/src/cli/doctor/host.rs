//! A host that `--site` or `--collector` names, and what DNS says about it.

use std::net::IpAddr;

use dns_lookup::{AddrInfoHints, getaddrinfo};
use http::Uri;

/// `AI_CANONNAME` of netdb.h on Linux: also tell the name that the aliases end in.
const CANONICAL_NAME: i32 = 2;

/// A host as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in lower case, or its address.
    pub name: String,
    /// Where it speaks cleartext HTTP.
    pub cleartext_port: u16,
}

/// No host can be read from the text.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a URL; write https://www.example.com")]
pub struct NotAUrl(String);

impl Target {
    /// Takes the host of `https://host[:port][/...]`.
    ///
    /// # Errors
    /// [`NotAUrl`]
    pub fn parse(text: &str) -> Result<Self, NotAUrl> {
        let wrong = || NotAUrl(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let name = uri
            .host()
            .filter(|name| !name.is_empty())
            .ok_or_else(wrong)?;
        let cleartext_port = match uri.scheme_str() {
            Some("http") => uri.port_u16().unwrap_or(80),
            Some("https") => 80,
            Some(_) | None => return Err(wrong()),
        };
        let name = name.trim_start_matches('[').trim_end_matches([']', '.']);
        Ok(Self {
            name: name.to_ascii_lowercase(),
            cleartext_port,
        })
    }
}

/// What DNS says about a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// As its URL names it.
    pub name: String,
    /// The name at the end of its CNAMEs; the same where it has none.
    pub canonical: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl Host {
    /// Asks the system's resolver.
    ///
    /// # Errors
    /// What it says.
    pub fn look_up(target: &Target) -> Result<Self, String> {
        let hints = AddrInfoHints {
            flags: CANONICAL_NAME,
            ..AddrInfoHints::default()
        };
        let failed = |error: std::io::Error| format!("{} has no address: {error}", target.name);
        let found = getaddrinfo(Some(&target.name), None, Some(hints));
        let found = found.map_err(|error| failed(error.into()))?;
        let mut host = Self {
            name: target.name.clone(),
            canonical: target.name.clone(),
            addresses: Vec::new(),
        };
        for entry in found {
            let entry = entry.map_err(failed)?;
            if let Some(canonical) = entry.canonname {
                host.canonical = canonical.trim_end_matches('.').to_ascii_lowercase();
            }
            let address = entry.sockaddr.ip();
            if !host.addresses.contains(&address) {
                host.addresses.push(address);
            }
        }
        Ok(host)
    }
}
