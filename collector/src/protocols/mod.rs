//! The protocols that clients speak, one folder each. A folder declares its paths, where the write
//! key stands, how a request becomes an [`Envelope`](crate::pipeline::decode::Envelope), and what
//! its answers look like. The rules of an event are the decoder's, the same for all protocols.
//!
//! A new protocol is a folder here and a line in [`ALL`]. The edge knows protocols by that list only.

mod endpoint;
mod message;
mod key;
pub mod native;
pub mod pixel;
#[cfg(test)]
pub(crate) mod stub;

pub use endpoint::{Answer, Carrier, Endpoint, Read};
pub use key::{KeyPlace, OWN_KEYS, write_key};
pub use message::{Kept, Message};

/// Every protocol, each as the endpoints that its folder declares.
pub const ALL: &[&[Endpoint]] = &[
    native::ENDPOINTS,
    pixel::ENDPOINTS,
    #[cfg(test)]
    stub::ENDPOINTS,
];

/// The endpoints of all protocols.
pub fn endpoints() -> impl Iterator<Item = &'static Endpoint> {
    ALL.iter().flat_map(|protocol| protocol.iter())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_endpoints_share_a_path_or_setting() {
        let paths: Vec<_> = endpoints().map(|endpoint| endpoint.path).collect();
        let settings: Vec<_> = endpoints()
            .filter_map(|endpoint| endpoint.setting)
            .collect();
        for names in [paths, settings] {
            let different: BTreeSet<_> = names.iter().collect();
            assert_eq!(different.len(), names.len(), "{names:?}");
        }
    }

    #[test]
    fn cors_allows_the_methods_of_every_carrier() {
        let allowed: Vec<_> = Carrier::METHODS.split(", ").collect();
        for endpoint in endpoints() {
            let mut methods = endpoint.carrier.allow().split(", ");
            // A browser may send HEAD without asking (Fetch, "CORS-safelisted method").
            assert!(methods.all(|method| method == "HEAD" || allowed.contains(&method)));
        }
    }
}
