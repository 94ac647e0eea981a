//! The answers to TLS-ALPN-01 (RFC 8737): for each name that is being proven a certificate that
//! only says so, given to a handshake that asks for nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::AcmeError;

/// The protocol that a proving handshake asks for.
pub(in crate::edge) const ALPN: &[u8] = b"acme-tls/1";

/// The names that are being proven, with their certificates.
#[derive(Debug, Default)]
pub(in crate::edge) struct Challenges(Mutex<HashMap<String, Arc<CertifiedKey>>>);

/// Takes the answers back when the order ends, however it ends.
#[derive(Debug)]
pub(in crate::edge) struct Answering<'c>(&'c Challenges);

/// True where the client wants a proof and not a connection.
pub(in crate::edge::tls) fn is_asked_by(hello: &ClientHello<'_>) -> bool {
    hello
        .alpn()
        .is_some_and(|mut offered| offered.any(|name| name == ALPN))
}

impl Challenges {
    /// The answer for this client; None ends its handshake: no proof is due, or the client offers
    /// other protocols too, which RFC 8737 (section 3) forbids.
    pub(in crate::edge::tls) fn answer(
        &self,
        hello: &ClientHello<'_>,
    ) -> Option<Arc<CertifiedKey>> {
        if hello.alpn()?.count() != 1 {
            return None;
        }
        self.of(hello.server_name()?)
    }

    fn of(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.0.lock().get(&name.to_ascii_lowercase()).cloned()
    }

    /// Answers for as long as what is returned is held.
    pub(in crate::edge) fn begin(&self) -> Answering<'_> {
        Answering(self)
    }
}

impl Answering<'_> {
    /// From now on `name` answers with `digest`, that of its key authorization.
    pub(in crate::edge) fn prove(&self, name: &str, digest: &[u8; 32]) -> Result<(), AcmeError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certificate = params.self_signed(&key)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let chain = vec![certificate.der().clone()];
        // `from_der` would read the certificate and refuse its critical extension.
        let key = ring::default_provider()
            .key_provider
            .load_private_key(key)?;
        let pair = CertifiedKey::new(chain, key);
        let mut all = self.0.0.lock();
        all.insert(name.to_ascii_lowercase(), Arc::new(pair));
        Ok(())
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_answered_for_as_long_as_its_order_lasts() {
        let challenges = Challenges::default();
        assert!(challenges.of("t.example.com").is_none());
        let answering = challenges.begin();
        answering.prove("t.example.com", &[7; 32]).unwrap();
        let answer = challenges.of("T.Example.com").unwrap();
        // id-pe-acmeIdentifier, critical, with the digest (RFC 8737, section 3).
        let mut extension = vec![
            0x06, 8, 0x2b, 6, 1, 5, 5, 7, 1, 31, 0x01, 1, 0xff, 0x04, 34, 0x04, 32,
        ];
        extension.extend([7; 32]);
        let der = answer.cert[0].as_ref();
        assert!(der.windows(extension.len()).any(|part| part == extension));
        assert!(challenges.of("other.example.com").is_none());
        drop(answering);
        assert!(challenges.of("t.example.com").is_none());
    }
}
